@_exported import CoreImage

open class CALayer: NSObject {}

@MainActor open class UIView: NSObject {
    open class var layerClass: AnyClass { fatalError() }
    public var layer: CALayer { fatalError() }
}

open class UIImage: NSObject, @unchecked Sendable {
    public enum Orientation: Int, Sendable {
        case up, down, left, right, upMirrored, downMirrored, leftMirrored, rightMirrored
    }

    public init?(contentsOfFile path: String) {}
    public init?(data: Data) {}
    public var cgImage: CGImage? { fatalError() }
    public var ciImage: CIImage? { fatalError() }
    public var imageOrientation: Orientation { fatalError() }
}

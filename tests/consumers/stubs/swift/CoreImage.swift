// Also what CoreImage exports: Core Graphics, Core Video and Image I/O.
@_exported import Foundation

public final class CGImage {}
public final class CVPixelBuffer {}

public enum CGImagePropertyOrientation: UInt32, Sendable {
    case up, upMirrored, down, downMirrored, leftMirrored, right, rightMirrored, left
}

open class CIImage: NSObject {
    public init(cvPixelBuffer: CVPixelBuffer) {}
    public var extent: CGRect { fatalError() }
}

open class CIContext: NSObject {
    public func createCGImage(_ image: CIImage, from: CGRect) -> CGImage? { fatalError() }
}

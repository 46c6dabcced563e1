@_exported import CoreML

public enum VNImageCropAndScaleOption: UInt {
    case centerCrop, scaleFit, scaleFill
}

open class VNObservation: NSObject {}

open class VNClassificationObservation: VNObservation {
    public var identifier: String { fatalError() }
    public var confidence: Float { fatalError() }
}

open class VNCoreMLFeatureValueObservation: VNObservation {
    public var featureName: String { fatalError() }
    public var featureValue: MLFeatureValue { fatalError() }
}

open class VNCoreMLModel: NSObject {
    public init(for model: MLModel) throws {}
}

open class VNRequest: NSObject {
    public var results: [VNObservation]? { fatalError() }
}

open class VNCoreMLRequest: VNRequest {
    public init(model: VNCoreMLModel) {}
    public var imageCropAndScaleOption: VNImageCropAndScaleOption = .centerCrop
}

open class VNImageRequestHandler: NSObject {
    public init(url: URL) {}
    public init(cvPixelBuffer: CVPixelBuffer, orientation: CGImagePropertyOrientation = .up) {}
    public func perform(_ requests: [VNRequest]) throws {}
}

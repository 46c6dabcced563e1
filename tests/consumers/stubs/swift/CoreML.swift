@_exported import CoreImage

public enum MLComputeUnits { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }

open class MLModelConfiguration: NSObject {
    public var computeUnits: MLComputeUnits = .all
}

open class MLImageConstraint: NSObject {}

open class MLFeatureDescription: NSObject {
    public var imageConstraint: MLImageConstraint? { fatalError() }
}

open class MLModelDescription: NSObject {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
}

public struct MLShapedArray<Scalar> {
    public init<S: Sequence>(scalars: S, shape: [Int]) where S.Element == Scalar {}
}

open class MLMultiArray: NSObject {
    public convenience init<Scalar>(_ shapedArray: MLShapedArray<Scalar>) { self.init() }
    public var count: Int { fatalError() }
    public subscript(index: Int) -> NSNumber { fatalError() }
}

open class MLFeatureValue: NSObject {
    public struct ImageOption: Hashable, Sendable {
        public static let cropAndScale = ImageOption()
    }

    public init(
        imageAt url: URL, constraint: MLImageConstraint, options: [ImageOption: Any]? = nil
    ) throws {}

    public init(
        cgImage: CGImage, orientation: CGImagePropertyOrientation, constraint: MLImageConstraint,
        options: [ImageOption: Any]? = nil
    ) throws {}

    public var multiArrayValue: MLMultiArray? { fatalError() }
    public var dictionaryValue: [AnyHashable: NSNumber] { fatalError() }
    public var stringValue: String { fatalError() }
}

public protocol MLFeatureProvider {
    func featureValue(for featureName: String) -> MLFeatureValue?
}

open class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public func featureValue(for featureName: String) -> MLFeatureValue? { fatalError() }
}

open class MLModel: NSObject {
    public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {}
    public var modelDescription: MLModelDescription { fatalError() }
    public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider {
        fatalError()
    }
}

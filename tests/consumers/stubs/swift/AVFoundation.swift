// Also what AVFoundation exports: Core Media and Core Animation.
@_exported import Foundation
@_exported import UIKit

public final class CMSampleBuffer {}

public func CMSampleBufferGetImageBuffer(_ buffer: CMSampleBuffer) -> CVPixelBuffer? { fatalError() }

public struct AVMediaType: Sendable {
    public static let video = AVMediaType()
}

open class AVCaptureDevice: NSObject {
    public static func requestAccess(for mediaType: AVMediaType) async -> Bool { fatalError() }
    public static func `default`(for mediaType: AVMediaType) -> AVCaptureDevice? { fatalError() }
}

open class AVCaptureInput: NSObject {}
open class AVCaptureOutput: NSObject {}
open class AVCaptureConnection: NSObject {}

open class AVCaptureDeviceInput: AVCaptureInput {
    public init(device: AVCaptureDevice) throws {}
}

public protocol AVCaptureVideoDataOutputSampleBufferDelegate: NSObjectProtocol {
    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection)
}

open class AVCaptureVideoDataOutput: AVCaptureOutput {
    public var alwaysDiscardsLateVideoFrames = true
    public func setSampleBufferDelegate(
        _ delegate: (any AVCaptureVideoDataOutputSampleBufferDelegate)?, queue: DispatchQueue?
    ) {}
}

open class AVCaptureSession: NSObject, @unchecked Sendable {
    public struct Preset: Sendable {
        public static let vga640x480 = Preset()
    }

    public var sessionPreset = Preset()
    public func addInput(_ input: AVCaptureInput) {}
    public func addOutput(_ output: AVCaptureOutput) {}
    public func beginConfiguration() {}
    public func commitConfiguration() {}
    public func startRunning() {}
    public func stopRunning() {}
}

public struct AVLayerVideoGravity: Sendable {
    public static let resizeAspectFill = AVLayerVideoGravity()
}

open class AVCaptureVideoPreviewLayer: CALayer {
    public var session: AVCaptureSession?
    public var videoGravity = AVLayerVideoGravity()
}

// Also what PhotosUI adds to SwiftUI.
import SwiftUI

public struct PhotosPickerItem: Hashable, Sendable {
    public func loadTransferable<T>(type: T.Type) async throws -> T? { fatalError() }
}

public struct PHPickerFilter: Sendable {
    public static let images = PHPickerFilter()
}

public struct PhotosPicker: Leaf {
    public init(
        _ title: some StringProtocol, selection: Binding<PhotosPickerItem?>,
        matching filter: PHPickerFilter? = nil
    ) {}
}

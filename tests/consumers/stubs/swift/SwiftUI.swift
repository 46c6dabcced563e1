// Also what SwiftUI exports: Combine.
@_exported import UIKit

public protocol ObservableObject: AnyObject {}

@propertyWrapper public struct Published<Value> {
    public var wrappedValue: Value
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
}

@MainActor @preconcurrency @propertyWrapper public struct StateObject<T: ObservableObject> {
    public init(wrappedValue: @autoclosure @escaping () -> T) {}
    public var wrappedValue: T { fatalError() }
}

@propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) {}
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set {}
    }
    public var projectedValue: Binding<Value> { fatalError() }
}

public struct Binding<Value> {}

@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError() }
}

public protocol Leaf: View where Body == Never {}

extension Leaf {
    public var body: Never { return fatalError() }
}

public struct Group<each Content>: Leaf {}

@resultBuilder public enum ViewBuilder {
    public static func buildBlock<each Content: View>(
        _ content: repeat each Content
    ) -> Group<repeat each Content> { fatalError() }

    public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
}

public struct Text: Leaf {
    public init(_ text: some StringProtocol) {}
}

public struct Image: Leaf {
    public init(uiImage: UIImage) {}
}

public struct VStack: Leaf {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> some View) {}
}

public struct HStack: Leaf {
    public init(@ViewBuilder content: () -> some View) {}
}

public struct ForEach<Data: RandomAccessCollection>: Leaf {
    public init<ID: Hashable>(
        _ data: Data, id: KeyPath<Data.Element, ID>,
        @ViewBuilder content: @escaping (Data.Element) -> some View
    ) {}
}

public struct Font: Sendable {
    public static let title2 = Font()
}

public struct Material: Sendable {
    public static let thinMaterial = Material()
}

public struct Alignment: Sendable {
    public static let bottom = Alignment()
}

extension View {
    public func font(_ font: Font?) -> some View { self }
    public func padding() -> some View { self }
    public func background(_ style: Material) -> some View { self }
    public func ignoresSafeArea() -> some View { self }
    public func overlay(
        alignment: Alignment, @ViewBuilder content: () -> some View
    ) -> some View { self }
    public func task(_ action: @escaping @Sendable () async -> Void) -> some View { self }
    public func onChange<V: Equatable>(
        of value: V, perform action: @escaping (V) -> Void
    ) -> some View { self }
    public func onDisappear(perform action: (() -> Void)? = nil) -> some View { self }
}

public struct UIViewRepresentableContext<Content> {}

@MainActor @preconcurrency public protocol UIViewRepresentable: Leaf {
    associatedtype UIViewType: UIView
    typealias Context = UIViewRepresentableContext<Self>
    func makeUIView(context: Context) -> UIViewType
    func updateUIView(_ uiView: UIViewType, context: Context)
}

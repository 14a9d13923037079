public import Backends

/// A device for which stages are planned.
public struct PlannedDevice: Sendable {
  /// As messages name it, such as `cuda:0`.
  public let name: String
  /// Bytes that a run may take there.
  public let byteCount: Int
  /// In which format activations lie while a model computes.
  public var activations: NumberFormat
  /// Whether its memory is the machine's, too.
  public let sharesMemory: Bool
  /// What is measured; nil: a device that is not here, whose speed nobody knows.
  package let measured: MeasuredDevice?

  /// - Parameters:
  ///   - byteCount: of its memory, of which a tenth is left to its driver and to others
  ///   - backend: with what tells it from others, if it is here
  public init(
    _ name: String, byteCount: Int, activations: NumberFormat,
    backend: (any Backend, identity: String)? = nil, isProcessor: Bool = false
  ) {
    self.name = name
    self.byteCount = byteCount / 10 * 9
    self.activations = activations
    sharesMemory = isProcessor
    measured = backend.map {
      MeasuredDevice(backend: $0, identity: $1, scale: isProcessor ? 1 : 16)
    }
  }
}

extension PlannedDevice? {
  /// One that computes nothing.
  package var planningBackend: PlanningBackend {
    PlanningBackend(for: map { .device(activations: $0.activations) } ?? .host)
  }
}

/// A device whose speed is measured.
package struct MeasuredDevice: Sendable {
  package let backend: any Backend
  /// What its speed depends on.
  package let identity: String
  /// As of ``OperationRates``.
  package let scale: Int
}

public import Backends

/// A device for which stages are planned.
public struct PlannedDevice: Sendable {
  /// As messages name it, such as `cuda:0`.
  public let name: String
  /// Bytes that a run may take there: a tenth is left to its driver and to others.
  public let byteCount: Int
  /// In which format activations lie while a model computes.
  public var activations: NumberFormat
  /// Whether its memory is the machine's, too.
  public let sharesMemory: Bool
  /// What computes there, and what its speed depends on; nil: it is not here, and nobody knows its speed.
  public let measured: (backend: any Backend, identity: String)?

  /// - Parameter byteCount: of its memory
  public init(
    _ name: String, byteCount: Int, activations: NumberFormat,
    measured: (backend: any Backend, identity: String)? = nil, sharesMemory: Bool = false
  ) {
    self.name = name
    self.byteCount = byteCount / 10 * 9
    self.activations = activations
    self.sharesMemory = sharesMemory
    self.measured = measured
  }
}

extension PlannedDevice? {
  /// One that computes nothing.
  package var planningBackend: PlanningBackend {
    PlanningBackend(for: map { .device(activations: $0.activations) } ?? .host)
  }
}

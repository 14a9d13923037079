/// Where memory is.
public enum MemoryPlace: Sendable {
  case machine
  case device
}

/// What a stage has in memory at once, by what takes it.
public struct MemoryNeed: Sendable {
  public struct Part: Equatable, Sendable {
    public let what: String
    public let byteCount: Int
    public let place: MemoryPlace
  }

  public private(set) var parts: [Part] = []
  /// Whether the device's memory is the machine's.
  package var sharesMemory = false
  private let programByteCount: Int

  /// The program itself, the library pages it has touched, and the unused rest of huge pages: measured.
  ///
  /// A run of a pipeline touches more of them than a benchmark.
  init(isOfStage: Bool) { programByteCount = isOfStage ? 40_500_000 : 31_000_000 }

  /// What is there; in the machine's memory, that of a device that shares it, too.
  public func parts(in place: MemoryPlace) -> [Part] {
    parts.filter { $0.place == place || place == .machine && sharesMemory }
  }

  public func byteCount(in place: MemoryPlace) -> Int {
    parts(in: place).reduce(place == .machine ? programByteCount : 0) { $0 + $1.byteCount }
  }

  mutating func add(_ what: String, bytes: Int, in place: MemoryPlace = .machine) {
    guard bytes > 0 else { return }
    parts.append(Part(what: what, byteCount: bytes, place: place))
  }
}

package import Backends

/// What a stage takes: its own code, run on a backend that computes nothing and counts.
package struct StagePlan {
  private let backend: any Backend
  /// What each unit of work takes, and how often it is done.
  package private(set) var units: [(profile: OperationProfile, count: Double)] = []
  /// The most bytes of what lasts.
  private var lastingBytes = 0
  /// Memory that is no tensor's.
  private var buffers: [(what: String, byteCount: Int)] = []
  /// The time that no operation takes: to read, decode and write.
  private var otherSeconds = 0.0

  private let isOfStage: Bool

  /// - Parameter isOfStage: whether a stage of a pipeline is planned; false: work that runs by itself
  package init(on backend: any Backend, isOfStage: Bool = true) {
    (self.backend, self.isOfStage) = (backend, isOfStage)
  }

  private var counter: PlanningBackend? { backend as? PlanningBackend }

  /// Makes what several units of work use: weights as their files describe them, which are not read.
  package mutating func build<Result>(_ body: () throws -> Result) rethrows -> Result {
    let result = try withBackend(backend, body)
    lastingBytes = max(lastingBytes, usedBytes)
    return result
  }

  /// Runs a unit of work that the stage does `count` times.
  ///
  /// It runs twice: the second time finds blocks that can be used again, and forms that are kept of weights.
  @discardableResult
  package mutating func run<Result>(times count: Double, _ body: () throws -> Result) rethrows
    -> Result
  {
    let profile = OperationProfile()
    _ = try withBackend(backend, body)
    let result = try profile.record { try withBackend(backend, body) }
    units.append((profile, count))
    return result
  }

  /// Bytes that tensors have now.
  package var usedBytes: Int { counter?.usedBytes ?? 0 }

  /// Counts bytes as used for as long as the result is kept.
  package func hold(_ byteCount: Int) -> Storage {
    Storage(count: byteCount / MemoryLayout<Float>.stride, on: backend)
  }

  /// What waits to be used again goes back to the system.
  package func releaseFreeMemory() { counter?.releaseFreeBlocks() }

  /// Counts memory that is no tensor's.
  package mutating func add(_ what: String, bytes: Int) {
    buffers.append((what, bytes))
  }

  /// Counts time that no operation takes.
  package mutating func add(seconds: Double) { otherSeconds += seconds }

  package var memory: MemoryNeed {
    var need = MemoryNeed(isOfStage: isOfStage)
    let place: MemoryPlace = counter.map { $0.target == .host } ?? true ? .machine : .device
    need.add("weights", bytes: lastingBytes, in: place)
    if let counter {
      need.add("passes", bytes: counter.peakBytes - lastingBytes, in: place)
      if place == .device {
        need.add("what goes to and from the device", bytes: counter.largestTransferBytes)
      } else {
        need.add("memory kept for reuse", bytes: counter.heldPeakBytes - counter.peakBytes)
        // Measured: what other stages have left scattered, and the rest of huge pages.
        if isOfStage {
          need.add("gaps between blocks", bytes: min(counter.heldPeakBytes / 16, 10_000_000))
        }
      }
    }
    for buffer in buffers { need.add(buffer.what, bytes: buffer.byteCount) }
    return need
  }

  /// At the rates of this processor, which are measured unless they are known.
  package func measuredSeconds() -> Double? {
    let cache = RateCache()
    let rates = cache.read()
    defer { cache.write(rates) }
    return seconds(at: rates)
  }

  /// Nil if a rate is not known.
  package func seconds(at rates: OperationRates) -> Double? {
    units.reduce(otherSeconds) { sum, unit in
      guard unit.count > 0 else { return sum }
      guard let sum, let seconds = rates.seconds(of: unit.profile) else { return nil }
      return sum + unit.count * seconds
    }
  }
}

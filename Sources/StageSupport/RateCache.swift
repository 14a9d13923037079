package import Backends
import Files
import HostResources

/// What was measured of this processor, or of a device, in a file of the user's cache folder.
package struct RateCache {
  private let file: UserCacheFile
  private let device: PlannedDevice?
  private let isFresh: Bool

  /// - Parameters:
  ///   - device: one that is here; nil: this processor
  ///   - isFresh: whether what was measured before does not count
  package init(
    of device: PlannedDevice? = nil, isFresh: Bool = false,
    folder: String? = UserCacheFile.userFolder
  ) {
    file = UserCacheFile(
      "rates", format: 2, about: device?.measured?.identity ?? Self.processor, in: folder)
    self.device = device
    self.isFresh = isFresh
  }

  /// More than any operation takes a number.
  private static let slowest = 1.0

  /// What the speed of this processor depends on.
  private static var processor: String {
    [
      Machine.processor, Machine.processorRevision, "\(Threads.count) threads",
      KernelBuild.instructionSets.joined(separator: " "),
    ].joined(separator: ", ")
  }

  /// What is known; what is not is measured when it is asked for, unless `ulimit -v` limits memory.
  package func read() -> OperationRates {
    OperationRates(
      on: device?.measured?.backend ?? HostBackend.shared,
      scale: device?.sharesMemory ?? true ? 1 : 16,
      // Where the shell limits memory, there may not be enough to measure.
      isMeasuring: !MemoryLimit.isShellLimited, knowing: isFresh ? [:] : kept)
  }

  private var kept: [String: Double] {
    guard let members = try? file.content?.members() else { return [:] }
    var rates: [String: Double] = [:]
    for (key, value) in members {
      guard let number = try? value.double(), number > 0, number <= Self.slowest else { return [:] }
      rates[key] = number
    }
    return rates
  }

  package func write(_ rates: OperationRates) {
    guard rates.hasChanged else { return }
    var seconds = JSON.Object()
    for (key, value) in rates.secondsPerUnit.sorted(by: { $0.key < $1.key }) {
      seconds[key] = .number(value)
    }
    file.keep(.object(seconds))
  }
}

package import Backends
import Files
import Foundation
import HostResources
import PipelineCore

/// What was measured of this processor, or of a device, in a file of the user's cache folder.
///
/// A file that is damaged, or of another processor, build or number of threads, counts as none; one that
/// cannot be written is done without.
package struct RateCache {
  /// Nil: nothing is kept.
  private let folder: String?
  /// Nil: this processor.
  private let device: MeasuredDevice?

  package init(folder: String?, device: MeasuredDevice? = nil) {
    self.folder = folder
    self.device = device
  }

  private static let format = 1
  /// More than any operation takes a number.
  private static let slowest = 1.0

  /// The user's folder for what can be made again.
  package static var userFolder: String? {
    let environment = ProcessInfo.processInfo.environment
    // The specification has relative paths ignored.
    if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") { return "\(folder)/spo" }
    guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
    return "\(home)/.cache/spo"
  }

  /// What the numbers hold for.
  private var machine: String {
    device?.identity
      ?? [
        Machine.processor, Machine.processorRevision, "\(Threads.count) threads",
        KernelBuild.instructionSets.joined(separator: " "),
      ].joined(separator: ", ")
  }

  private var path: String? {
    let name = SHA256.hexDigest(of: Array(machine.utf8)).prefix(16)
    return folder.map { "\($0)/rates-\(name).json" }
  }

  /// - Parameter isFresh: whether what was measured before does not count
  package func read(isFresh: Bool = false) -> OperationRates {
    let none = OperationRates(on: device?.backend ?? HostBackend.shared, scale: device?.scale ?? 1)
    guard !isFresh, let path, let json = try? JSONReader(contentsOf: path),
      (try? json.int("format")) == Self.format, (try? json.string("machine")) == machine,
      let members = try? json["seconds_per_unit"].members()
    else { return none }
    var seconds: [String: Double] = [:]
    for (key, value) in members {
      guard let number = try? value.double(), number > 0, number <= Self.slowest else {
        return none
      }
      seconds[key] = number
    }
    return none.knowing(seconds)
  }

  package func write(_ rates: OperationRates) {
    guard let folder, let path, rates.hasChanged else { return }
    var seconds = JSON.Object()
    for (key, value) in rates.secondsPerUnit.sorted(by: { $0.key < $1.key }) {
      seconds[key] = .number(value)
    }
    try? FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    try? writeJSON(
      [
        "format": .integer(Self.format), "machine": .string(machine),
        "seconds_per_unit": .object(seconds),
      ], to: path)
  }
}

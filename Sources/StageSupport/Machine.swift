import Files
import Foundation
import HostResources

/// What this machine is, for reports.
package enum Machine {
  /// The processor's own name, if the system tells it.
  package static var processor: String { processorField("model name") ?? "unknown processor" }

  /// Optional instruction sets that it has, in the system's names; none if the system does not tell.
  package static var instructionSets: Set<String> {
    Set((processorField("flags") ?? "").split(separator: " ").map(String.init))
  }

  /// The numbers of the processors that this process may run on, such as `0-3`.
  package static var allowedProcessors: String {
    processorField("Cpus_allowed_list", in: "/proc/self/status") ?? "all"
  }

  private static func processorField(
    _ name: String, in path: String = "/proc/cpuinfo"
  ) -> String? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
    return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
  }

  package static var system: String { ProcessInfo.processInfo.operatingSystemVersionString }

  /// Bytes.
  package static var memory: Int { MemoryLimit.machine }

  package static var description: String {
    "\(processor), \(Threads.count) threads, \(ByteCount.text(memory)), \(system)"
  }
}

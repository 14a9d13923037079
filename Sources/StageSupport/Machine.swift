import Files
import Foundation
import HostResources

/// What this machine is, for reports.
package enum Machine {
  /// The processor's own name, if the system tells it.
  package static var processor: String { processorField("model name") ?? "unknown processor" }

  /// What tells it from others of the same name: family, model and stepping on x86, and what arm64 has
  /// instead; empty if the system does not tell.
  package static var processorRevision: String {
    [
      "cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant",
      "CPU revision",
    ].compactMap { name in processorField(name).map { "\(name) \($0)" } }.joined(separator: ", ")
  }

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
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1).map {
        $0.trimmingCharacters(in: .whitespaces)
      }
      if parts.count == 2, parts[0] == name { return parts[1] }
    }
    return nil
  }

  package static var system: String { ProcessInfo.processInfo.operatingSystemVersionString }

  /// Bytes.
  package static var memory: Int { MemoryLimit.machine }

  package static var description: String {
    "\(processor), \(Threads.count) threads, \(ByteCount.text(memory)), \(system)"
  }
}

import Foundation
import TensorCore

/// What this machine is, for reports.
enum Machine {
  /// The processor's own name, if the system tells it.
  static var processor: String {
    guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else {
      return "unknown processor"
    }
    let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
    return name ?? "unknown processor"
  }

  static var system: String { ProcessInfo.processInfo.operatingSystemVersionString }

  /// Bytes.
  static var memory: Int { Int(clamping: ProcessInfo.processInfo.physicalMemory) }

  static var description: String {
    let gigabytes = String(format: "%.1f", Double(memory) / 1e9)
    return "\(processor), \(Threads.count) threads, \(gigabytes) GB, \(system)"
  }
}

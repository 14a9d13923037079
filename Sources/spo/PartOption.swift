import CommandSyntax
import Foundation
import PipelineCore
import Ranks

extension Arguments {
  /// Returns the part requested by `--partition`, and reports the index if it comes from the
  /// environment.
  func partition() throws(UsageError) -> Partition? {
    guard let text = value("partition") else { return nil }
    do {
      let partition = try Partition(text, environment: ProcessInfo.processInfo.environment)
      if let variable = partition.variable {
        Console.note("part \(partition), from \(variable)")
      }
      return partition
    } catch { throw self.error("--partition \(text): \(error)") }
  }

  /// Rejects several processes that a launcher has started to do the same work.
  func requireOneProcess() throws {
    guard !has("partition"),
      let launcher = try Launcher(environment: ProcessInfo.processInfo.environment)
    else { return }
    throw error(
      "\(launcher.name) has started \(launcher.count) processes, which would all do the same work; divide the prompts "
        + "with --partition auto/\(launcher.count), or start one process")
  }
}

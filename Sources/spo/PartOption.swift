import CommandSyntax
import Foundation
import PipelineCore

extension Arguments {
  /// The part that `--partition` asks for; where the environment says which, this is told.
  func partition() throws(UsageError) -> Partition? {
    guard let text = value("partition") else { return nil }
    do {
      let partition = try Partition(text, environment: ProcessInfo.processInfo.environment)
      if let variable = partition.variable {
        Console.note("part \(partition), by \(variable)")
      }
      return partition
    } catch { throw self.error("--partition \(text): \(error)") }
  }
}

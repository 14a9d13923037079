import Files
import Foundation
import PipelineCore

/// Information about the run that a page shows.
struct ReportedRun {
  /// The name of the workspace's folder.
  let name: String
  /// The diffusion model as named in the settings.
  let model: String
  let date: Date

  init(workspace: String, model: String, date: Date = Date()) {
    name = URL(fileURLWithPath: Folders.canonical(workspace)).lastPathComponent
    self.model = model
    self.date = date
  }

  var facts: [String] {
    ["run \(name)", "model \(model)", Self.text(date), "spo \(ProgramVersion.current)"]
  }

  /// Formats day and minute in UTC: `2026-11-22 09:05 UTC`.
  static func text(_ date: Date) -> String {
    let text = date.formatted(.iso8601)
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5)) UTC"
  }
}

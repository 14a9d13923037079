import Files
import Foundation
import PipelineCore

/// What a page says of the run that it shows.
struct ReportedRun {
  /// The name of the workspace's folder.
  let name: String
  /// The diffusion model as the settings name it.
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

  /// Day and minute, the same everywhere: `2026-11-22 09:05 UTC`.
  static func text(_ date: Date) -> String {
    let text = date.formatted(.iso8601)
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5)) UTC"
  }
}

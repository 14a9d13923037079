import CommandSyntax
import Files
import Foundation
import PipelineCore
import ReportStages
import Reporting
import Stages

/// `spo watch`: a page that shows a run while it works.
enum Watch: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "watch",
      summary: "Keep a live page of a pipeline's progress, curves and images.",
      operands: [CommandSyntax.Operand("WORKSPACE")],
      options: [
        .value("out", "FILE", "the page (WORKSPACE/\(Workspace.watchName))"),
        .value("every", "SECONDS", "seconds between updates of the page (30)"),
        .flag("once", "write the page once"),
      ],
      examples: [
        (
          "spo watch runs/quickstart",
          "next to a run in another terminal; open runs/quickstart/\(Workspace.watchName) in a browser"
        ),
        (
          "spo watch runs/quickstart --once --out progress.html",
          "current progress only, in a file of your choice"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let workspace = Workspace(path: arguments.operands[0])
    let interval = try arguments.int("every", in: 1...86_400) ?? 30
    guard !arguments.has("once") || !arguments.has("every") else {
      throw arguments.error("--every cannot be combined with --once")
    }
    // Before any folder is created, here or elsewhere.
    _ = try WorkspaceSnapshot(workspace, of: stageTypes)
    let path: String
    if let given = arguments.value("out") {
      guard !given.isEmpty else { throw arguments.error("--out is empty") }
      try OutputPlace.requireFile(given, ending: "html", besides: [])
      path = given
    } else {
      path = workspace.path(Workspace.watchName)
    }
    Interruption.handleSignals()
    try watch(workspace, path, every: arguments.has("once") ? nil : interval)
  }

  /// Writes the page until the run ends; once if there is no interval or nothing runs.
  private static func watch(_ workspace: Workspace, _ path: String, every interval: Int?) throws {
    var isFirst = true
    while true {
      let isAtWork = workspace.isAtWork
      let goesOn = isAtWork && interval != nil && Interruption.pending == nil
      let page = WatchPage(
        try WorkspaceSnapshot(workspace, of: stageTypes), isAtWork: isAtWork,
        spell: Spelled.duration)
      let text = EditableText(
        page.report(interval: goesOn ? interval : nil).html, comment: .markup)
      if let kept = try text.write(to: path) { Console.noteKept([kept]) }
      if isFirst { try Console.print("page: \(path)") }
      if isFirst || !goesOn { Console.note(page.headline) }
      isFirst = false
      // An interruption while the page was written appears on the next one, which is the last.
      guard goesOn, let interval else {
        if let interruption = Interruption.pending { throw interruption }
        return
      }
      wait(for: workspace, seconds: interval)
    }
  }

  /// Waits until the next page is due, the run has ended, or the user asks to stop.
  private static func wait(for workspace: Workspace, seconds: Int) {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end, workspace.isAtWork, Interruption.pending == nil {
      Thread.sleep(forTimeInterval: 0.5)
    }
  }
}

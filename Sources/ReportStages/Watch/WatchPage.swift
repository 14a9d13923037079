import Files
public import Foundation
public import PipelineCore
public import Reporting

/// The page of a run in progress: its progress, curves and latest images.
public struct WatchPage {
  private let snapshot: WorkspaceSnapshot
  private let stages: [WatchedStage]
  /// Whether a process is at work.
  private let isAtWork: Bool
  private let date: Date
  private let spell: (_ seconds: Double) -> String

  /// - Parameter spell: formats a time
  public init(
    _ snapshot: WorkspaceSnapshot, isAtWork: Bool, date: Date = Date(),
    spell: @escaping (_ seconds: Double) -> String
  ) {
    self.snapshot = snapshot
    self.isAtWork = isAtWork
    self.date = date
    self.spell = spell
    stages = snapshot.stages.map(WatchedStage.init)
  }

  /// The stage in progress; without a process, the last one.
  private var current: WatchedStage? {
    snapshot.current.flatMap { current in stages.first { $0.stage.name == current.name } }
  }

  /// - Parameter interval: the seconds between updates of the page; nil: none
  public func report(interval: Int?) -> Report {
    let run = ReportedRun(workspace: snapshot.workspace.path, model: "", date: date)
    var report = Report(
      title: "Run \(run.name)", subtitle: headline,
      facts: [
        "as of \(ReportedRun.text(date))",
        interval.map { "updated every \($0) s" } ?? "no longer updated",
        "spo \(ProgramVersion.current)",
      ],
      sections: progressSections + stageSections)
    report.refresh = interval
    return report
  }

  /// A one-sentence summary of the run, also for the terminal.
  public var headline: String {
    guard let current else {
      return isAtWork ? "between stages" : "all started stages are done"
    }
    let name = current.stage.name
    guard isAtWork else { return "\(name) is unfinished, and no process is running it" }
    return ([name] + [Self.amount(current)] + left(current)).joined(separator: ", ")
  }

  private static func amount(_ stage: WatchedStage) -> String {
    let total = stage.stage.unitsTotal
    return total > 0
      ? "\(stage.unitsDone) of \(total) \(stage.stage.unit)" : "started"
  }

  private func left(_ stage: WatchedStage) -> [String] {
    stage.secondsLeft.map { ["about \(spell($0)) left"] } ?? []
  }

  private var progressSections: [ReportSection] {
    var blocks: [ReportBlock] = []
    if isAtWork, let current, let share = current.share {
      blocks.append(.progress(share, "\(current.stage.name), \(Int(share * 100)) %"))
    }
    blocks.append(.table(table))
    blocks.append(
      .text(
        "Stages not yet started are not listed. The time left is for the current stage, at its pace so far."
      ))
    let problems = snapshot.problems + stages.compactMap(\.problem)
    blocks += problems.map { .text("Cannot be read now: \($0)") }
    return [ReportSection("Progress", blocks)]
  }

  private var table: ReportTable {
    ReportTable(
      columns: ["stage", "state", "done", "pace", "took", "left"],
      rows: stages.map { watched in
        let stage = watched.stage
        let isCurrent = current?.stage.name == stage.name
        return [
          stage.name,
          stage.isDone ? "done" : isCurrent && isAtWork ? "running" : "unfinished",
          Self.amount(watched),
          watched.rate.map { "\(Self.text($0)) per second" } ?? "\u{2013}",
          stage.seconds > 0 ? spell(stage.seconds) : "\u{2013}",
          stage.isDone ? "" : watched.secondsLeft.map(spell) ?? "\u{2013}",
        ]
      }, numberColumns: [2, 3, 4, 5])
  }

  private static func text(_ rate: Double) -> String {
    rate >= 100 ? String(format: "%.0f", rate) : String(format: "%.2g", rate)
  }

  /// The sections of the stages, the latest first.
  private var stageSections: [ReportSection] {
    let sorted = stages.sorted { $0.stage.date > $1.stage.date }
    let ordered =
      (current.map { [$0] } ?? [])
      + sorted.filter {
        $0.stage.name != current?.stage.name
      }
    return ordered.compactMap { watched in
      let blocks =
        (watched.images.map { [ReportBlock.images($0)] } ?? [])
        + watched.charts.map { .chart($0) }
      return blocks.isEmpty ? nil : ReportSection("Stage \(watched.stage.name)", blocks)
    }
  }
}

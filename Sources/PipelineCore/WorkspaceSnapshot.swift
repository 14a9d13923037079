public import Files
public import Foundation

/// How far the stages of a workspace are, as their records say, for whoever looks on while a run works.
///
/// Reads without the lock and writes nothing. Records are replaced as a whole, so none is half there.
public struct WorkspaceSnapshot: Sendable {
  public struct Stage: Sendable {
    public let name: String
    public let unit: String
    /// Whether the result is complete.
    public let isDone: Bool
    public let unitsDone: Int
    /// 0 where that is not known yet.
    public let unitsTotal: Int
    /// Time worked until the record was written.
    public let seconds: Double
    public let settings: JSON
    /// When the record was written.
    public let date: Date
    /// Where the stage's files are now: its folder, or the one in which a new result is made.
    public let folder: String
  }

  public let workspace: Workspace
  /// Those that have begun, in the order in which stages run.
  public let stages: [Stage]
  /// What cannot be read now, and why.
  public let problems: [String]

  /// - Parameter types: all stages there are
  /// - Throws: ``WorkspaceError`` for a folder in which this program has not worked
  public init(_ workspace: Workspace, of types: [any PipelineCore.Stage.Type]) throws {
    guard workspace.isOurs else { throw WorkspaceError.noWorkspace(path: workspace.path) }
    self.workspace = workspace
    var problems: [String] = []
    stages = types.compactMap { type in
      let path = workspace.recordPath(type.name)
      do {
        guard let record = try StageRecord.load(from: path) else { return nil }
        let run = record.phase == .done ? record.result?.run ?? record.run : record.run
        let isBuilding = record.phase == .building
        return Stage(
          name: type.name, unit: type.unit, isDone: record.phase == .done,
          unitsDone: run.unitsDone, unitsTotal: run.unitsTotal, seconds: run.seconds,
          settings: run.basis.settings, date: Self.date(of: path) ?? .distantPast,
          folder: workspace.path(
            type.name + (isBuilding ? "/\(StagePaths.folderName)" : "")))
      } catch {
        problems.append("\(error)")
        return nil
      }
    }
    self.problems = problems
  }

  /// The one that is being made, or was when the last run ended; nil where all are done.
  public var current: Stage? {
    stages.filter { !$0.isDone }.max { $0.date < $1.date }
  }

  /// When a file was written last; nil if it is not there.
  public static func date(of path: String) -> Date? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return attributes?[.modificationDate] as? Date
  }
}

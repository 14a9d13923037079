public import Files
public import Foundation

/// The progress of a workspace's stages according to their records, for watching a run.
///
/// Reads without the lock and writes nothing. Records are replaced atomically, so none is
/// incomplete.
public struct WorkspaceSnapshot: Sendable {
  public struct Stage: Sendable {
    public let name: String
    public let unit: String
    /// Whether the result is complete.
    public let isDone: Bool
    public let unitsDone: Int
    /// 0 until known.
    public let unitsTotal: Int
    /// The working time until the record was written.
    public let seconds: Double
    public let settings: JSON
    /// The date when the record was written.
    public let date: Date
    /// The current location of the stage's files: its folder, or the one in which a new result is
    /// built.
    public let folder: String
  }

  public let workspace: Workspace
  /// The stages that have begun, in execution order.
  public let stages: [Stage]
  /// Descriptions of what is currently unreadable, and why.
  public let problems: [String]

  /// - Parameter types: all available stages
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

  /// The stage in progress, or at the end of the last run; nil if all are done.
  public var current: Stage? {
    stages.filter { !$0.isDone }.max { $0.date < $1.date }
  }

  /// Returns the date when a file was last written; nil if it does not exist.
  public static func date(of path: String) -> Date? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return attributes?[.modificationDate] as? Date
  }
}

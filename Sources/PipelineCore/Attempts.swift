import Files

/// Unfinished results set aside for another with different settings or inputs, kept until needed
/// again or removed by `spo gc`.
///
/// An attempt is identified by the fingerprint of everything its result depends on. Its record is
/// written before its files move and read until all are back, so a killed process leaves it in one
/// place or the other.
struct Attempts {
  private let stage: String
  private let workspace: Workspace
  private let ownPaths: StagePaths
  private let settingsWithoutEffect: Set<String>

  init(at configured: ConfiguredStage, in workspace: Workspace, _ ownPaths: StagePaths? = nil) {
    stage = configured.name
    self.workspace = workspace
    self.ownPaths = ownPaths ?? configured.ownPaths(in: workspace)
    settingsWithoutEffect = configured.settingsWithoutEffect
  }

  private func path(_ fingerprint: String) -> String {
    workspace.path("\(Workspace.attemptsFolder)/\(stage)-\(fingerprint).json")
  }

  /// Sets aside the result that `record` says is being built.
  func setAside(_ record: StageRecord) throws {
    guard record.run.unitsDone > 0 else { return try ownPaths.discardBuilding() }
    // Already moved by a process that was killed before it could record that.
    guard try !ownPaths.builtFiles().isEmpty else { return }
    // Records do not say which settings have no effect.
    var basis = record.run.basis
    basis.settingsWithoutEffect = settingsWithoutEffect
    let fingerprint = basis.fingerprint
    try workspace.makeFolder(Workspace.attemptsFolder)
    var kept = record
    (kept.result, kept.next) = (nil, nil)
    try kept.save(to: path(fingerprint))
    try ownPaths.moveBuilding(aside: fingerprint)
  }

  /// Returns the run of a result, if it was set aside.
  func run(of basis: StageBasis) throws -> StageRun? {
    try StageRecord.load(from: path(basis.fingerprint))?.run
  }

  /// Resumes what was set aside, if anything; the record must already say that it is being built.
  func takeUp(_ basis: StageBasis) throws {
    let fingerprint = basis.fingerprint
    guard Folders.exists(path(fingerprint)) else { return }
    try ownPaths.moveBuilding(back: fingerprint)
    try Folders.remove(path(fingerprint))
  }

  /// Returns all attempts, by fingerprint.
  func all() throws -> [(fingerprint: String, run: StageRun)] {
    try Folders.names(in: workspace.path(Workspace.attemptsFolder)).compactMap { name in
      guard name.hasPrefix("\(stage)-"), name.hasSuffix(".json") else { return nil }
      let fingerprint = String(name.dropFirst(stage.count + 1).dropLast(5))
      guard let record = try StageRecord.load(from: path(fingerprint)) else { return nil }
      return (fingerprint, record.run)
    }
  }

  /// Returns the attempts that `spo gc` removes.
  func garbage(_ unit: String) throws -> [Garbage] {
    try all().map { fingerprint, run in
      Garbage(
        "stage \(stage): started with different settings or inputs, "
          + "\(run.unitsDone) of \(run.unitsTotal) \(unit)",
        byteCount: try ownPaths.byteCount(aside: fingerprint)
      ) {
        try ownPaths.discard(aside: fingerprint)
        try Folders.remove(path(fingerprint))
      }
    }
  }
}

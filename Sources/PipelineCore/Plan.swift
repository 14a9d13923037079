/// What a pipeline's stages would do now, compared with what they did.
struct Plan {
  struct Step {
    let configured: ConfiguredStage
    let basis: StageBasis
    let record: StageRecord?
    let state: StageState
    /// Why the stage is not done.
    let reasons: [String]

    /// Whether what is there belongs to these settings and inputs.
    var canResume: Bool { record.map { basis.changes(since: $0.basis).isEmpty } ?? false }
  }

  let steps: [Step]

  /// - Parameter through: the last stage that matters; nil for all.
  init(
    _ pipeline: Pipeline, through last: String?, forced: Set<String> = [],
    context: (ConfiguredStage) -> StageContext
  ) throws {
    var steps: [Step] = []
    var makers: [Artifact: String] = [:]
    var fingerprints: [String: String] = [:]
    for configured in pipeline.stages {
      let stage = try configured.make(context(configured))
      var upstream: [String: String] = [:]
      for artifact in stage.reads.sorted(by: { $0.name < $1.name }) {
        guard let maker = makers[artifact] else {
          throw PipelineError.noProducer(stage: configured.name, artifact: artifact.name)
        }
        upstream[maker] = fingerprints[maker]
      }
      for artifact in stage.writes.sorted(by: { $0.name < $1.name }) {
        if let other = makers.updateValue(configured.name, forKey: artifact) {
          throw PipelineError.twoProducers(
            artifact: artifact.name, stages: [other, configured.name])
        }
      }
      var seen: Set<String> = []
      let basis = StageBasis(
        version: configured.version, settings: configured.settings,
        settingsWithoutEffect: configured.settingsWithoutEffect,
        inputs: try stage.inputs().filter { seen.insert($0.name).inserted }, upstream: upstream)
      fingerprints[configured.name] = basis.fingerprint
      steps.append(
        try Self.step(
          configured, stage, basis, isForced: forced.contains(configured.name),
          workspace: Workspace(path: pipeline.workspacePath)))
      if configured.name == last { break }
    }
    self.steps = steps
  }

  private static func step(
    _ configured: ConfiguredStage, _ stage: any Stage, _ basis: StageBasis, isForced: Bool,
    workspace: Workspace
  ) throws -> Step {
    let record = try StageRecord.load(from: workspace.recordPath(configured.name))
    var reasons: [String] = []
    var state = StageState.done
    if let record {
      let changes = basis.changes(since: record.basis)
      if !changes.isEmpty {
        state = .stale
        reasons = changes
      } else if !record.isDone {
        state = .partial
        reasons = ["\(record.unitsDone) of \(record.unitsTotal) done so far"]
      } else if let missing = try stage.missingOutput() {
        state = .partial
        reasons = ["missing: \(missing)"]
      } else if isForced {
        reasons = ["forced"]
      }
    } else {
      state = .missing
      reasons = ["never run"]
    }
    return Step(
      configured: configured, basis: basis, record: record, state: state, reasons: reasons)
  }
}

/// How a stage stands.
public enum StageState: String, Sendable {
  case done
  /// What is there was made with other settings or inputs, or by another version.
  case stale
  /// Begun, and can go on.
  case partial
  /// Never begun.
  case missing
}

public import Files

/// The outcome of reading everything in a stage's finished result.
public struct StageVerification: Sendable {
  public let stage: String
  /// The number of files; nil: there is no finished result.
  public let files: Int?
  public let byteCount: Int
  /// The problems, one line each.
  public let problems: [String]
  /// The remedies, in order.
  let remedies: [String]

  public var remedy: String? { remedies.isEmpty ? nil : remedies.joined(separator: ", then ") }

  public var json: JSON {
    [
      "stage": .string(stage), "files": files.map { .integer($0) } ?? .null,
      "bytes": .integer(byteCount), "problems": .array(problems.map { .string($0) }),
      "remedy": remedy.map { .string($0) } ?? .null,
    ]
  }
}

/// A workspace with damage.
public struct VerificationFailure: ClassifiedError, Equatable, CustomStringConvertible {
  public let workspace: String
  public let problemCount: Int
  public let remedies: [String]

  public init(workspace: String, _ stages: [StageVerification]) {
    self.workspace = workspace
    problemCount = stages.reduce(0) { $0 + $1.problems.count }
    remedies = stages.flatMap(\.remedies).reduce(into: []) {
      if !$0.contains($1) { $0.append($1) }
    }
  }

  public var kind: FailureKind { .input }
  public var description: String {
    "\(workspace): \(problemCount) problem\(problemCount == 1 ? "" : "s"); to repair: "
      + remedies.joined(separator: ", then ")
  }
}

extension Pipeline {
  /// Reads every finished result: digests, and whatever else each stage can compare.
  ///
  /// - Parameter observe: called with a stage's name before its files are read
  /// - Throws: `PipelineError.workspaceInUse` while something runs there
  public func verify(observe: (String) -> Void = { _ in }) throws -> [StageVerification] {
    let workspace = try existingWorkspace()
    let lock = try WorkspaceLock(workspace)
    defer { withExtendedLifetime(lock) {} }
    let digests = FileDigests(savedAt: workspace.digestsPath)
    let stale = try staleStages(digests, isReadOnly: lock.isReadOnly)
    return try stages.map { configured in
      observe(configured.name)
      var context = StageContext(configured, in: workspace, digests)
      context.isPart = lock.isReadOnly
      return try verify(
        configured, context, digests, isStale: stale.contains(configured.name))
    }
  }

  /// Returns the stages whose results have other settings or inputs, so that only their own digests
  /// can be compared.
  private func staleStages(_ digests: FileDigests, isReadOnly: Bool) throws -> Set<String> {
    do {
      let steps = try Planner.steps(
        of: self, isPart: isReadOnly, trustsLostInputs: true, digests)
      return Set(steps.filter { $0.state == .stale }.map(\.configured.name))
    } catch let interruption as Interruption {
      throw interruption
    } catch {
      // The error recurs and is reported at its stage.
      return []
    }
  }

  private func verify(
    _ configured: ConfiguredStage, _ context: StageContext, _ digests: FileDigests, isStale: Bool
  ) throws -> StageVerification {
    let workspace = context.workspace
    func report(
      _ result: StageResult?, _ problems: [String], _ remedies: [String] = []
    ) -> StageVerification {
      StageVerification(
        stage: configured.name, files: result?.files.count,
        byteCount: result?.files.values.reduce(0) { $0 + $1.byteCount } ?? 0,
        problems: problems, remedies: problems.isEmpty ? [] : remedies)
    }
    let run = runCommand
    let record: StageRecord?
    do {
      record = try StageRecord.load(from: workspace.recordPath(configured.name))
    } catch let error as PipelineError {
      return report(nil, ["\(error)"], ["move that file away"])
    }
    guard let result = record?.result else { return report(nil, []) }
    guard result.isKnown else {
      return report(
        result, ["made by an earlier version of this program, which kept no digests"], [run])
    }
    let stage = try configured.make(context)
    let check = OutputCheck(ownPaths: configured.ownPaths(in: workspace), digests: digests)
    let lost = try check(result, of: stage, readsAll: true).lost
    guard lost.isEmpty else {
      let isWhole = lost.allSatisfy {
        OutputCheck.covers(configured.type.secondary, $0.relative)
      }
      // A plain run does not rebuild what would take training.
      let trains = try isWhole && !stage.remakesFilesAtOnce()
      return report(
        result, lost.map(\.description),
        [trains ? trainingAgain(configured) : run])
    }
    do {
      _ = try configured.inputs(of: stage)
    } catch let error as PipelineError {
      guard case .missingInput = error else { throw error }
      // The files may be intact; without the stage's inputs that cannot be determined.
      return report(result, ["\(error)"], ["put that file back"])
    }
    let again = ["\(run) --force \(configured.name)"]
    do {
      let findings = isStale ? [] : try stage.findings()
      guard findings.isEmpty else { return report(result, findings, again) }
    } catch let interruption as Interruption {
      throw interruption
    } catch let damage as DamagedArtifact {
      return report(
        result, ["\(damage)"], ["\(run) --force \(maker(of: damage.artifact) ?? configured.name)"])
    } catch {
      return report(result, ["\(error)"], again)
    }
    let (problems, remedies) = try besideArtifacts(result, of: stage, configured, check)
    return report(result, problems, remedies)
  }

  /// Describes damage to files of an otherwise intact result that no stage reads, and the remedy.
  private func besideArtifacts(
    _ result: StageResult, of stage: any Stage, _ configured: ConfiguredStage, _ check: OutputCheck
  ) throws -> (problems: [String], remedies: [String]) {
    func isSpare(_ file: LostFile) -> Bool {
      OutputCheck.covers(configured.type.spare, file.relative)
    }
    let lost = try check.unread(result, readsAll: true)
    let found = try stage.spareFindings().filter { line in
      !lost.contains { line.contains($0.path) }
    }
    let hasSpare = !found.isEmpty || lost.contains(where: isSpare)
    let remedies =
      (hasSpare ? ["\(command("gc")), which removes files needed only for retraining"] : [])
      + (lost.allSatisfy(isSpare) ? [] : [trainingAgain(configured)])
    return (lost.map(\.description) + found, remedies)
  }

  /// The remedy for files that an intact result does not depend on.
  private func trainingAgain(_ configured: ConfiguredStage) -> String {
    "\(runCommand) --force \(configured.name), which retrains, or leave it: the result is intact"
  }
}

extension Pipeline {
  /// Returns the stage that makes an artifact.
  private func maker(of artifact: Artifact) -> String? {
    let workspace = Workspace(path: workspacePath)
    return stages.first { configured in
      let stage = try? configured.make(StageContext(configured, in: workspace, FileDigests()))
      return stage?.writes[artifact] != nil
    }?.name
  }
}

import Files
import Glibc

/// Migrates results of the program's first version.
///
/// That version recorded no files and no digests of results, named inputs by their paths, and
/// compared stages by fingerprints of their records. Converted to the current format, such a record
/// shows what has changed since, if anything, and a finished training is not repeated.
struct EarlierResults {
  private let workspace: Workspace
  private let digests: FileDigests
  /// Fingerprints of the first version's records, by stage.
  private var fingerprints: [String: String] = [:]
  /// The artifacts of earlier stages, with their current digests.
  private var artifacts: [Artifact: (maker: String, digest: String)] = [:]

  init(_ workspace: Workspace, _ digests: FileDigests) {
    self.workspace = workspace
    self.digests = digests
  }

  /// Converts a stage's record if the first version wrote it and its result exists.
  ///
  /// Called stage by stage, with the workspace locked.
  ///
  /// - Returns: whether the record was converted
  mutating func takeOver(_ configured: ConfiguredStage) throws -> Bool {
    let path = workspace.recordPath(configured.name)
    guard var record = try StageRecord.load(from: path) else { return false }
    let stage = try configured.make(StageContext(configured, in: workspace, digests))
    let isEarlier = record.phase == .done && record.result?.isKnown == false
    guard isEarlier, try JSONReader(contentsOf: path).bool("done"),
      // What the first version did not write yet only documents how the result came about.
      stage.writes.values.joined().allSatisfy({
        OutputCheck.covers(configured.type.secondary, $0) || Folders.isThere(workspace.path($0))
      })
    else {
      pass(stage, configured, record)
      return false
    }
    let earlier = record.run.basis
    fingerprints[configured.name] = Self.fingerprint(earlier, configured)
    record.run.basis = try basis(earlier, stage, configured)
    try stage.takeOverEarlierResult()
    let ownPaths = configured.ownPaths(in: workspace)
    // Anything else there may be the user's.
    let own = Array(stage.writes.values.joined()) + configured.type.spare
    var result = try StageResult(
      record.run, files: try ownPaths.finalFiles().filter { OutputCheck.covers(own, $0) },
      of: stage,
      digests, path: ownPaths.final)
    result.isUnlisted = true
    record.result = result
    try record.save(to: path)
    pass(stage, configured, record)
    return true
  }

  private mutating func pass(
    _ stage: any Stage, _ configured: ConfiguredStage, _ record: StageRecord
  ) {
    for artifact in stage.writes.keys {
      artifacts[artifact] = record.result?.artifacts[artifact.name].map { (configured.name, $0) }
    }
  }

  // MARK: - Conversion of the basis

  private func basis(
    _ earlier: StageBasis, _ stage: any Stage, _ configured: ConfiguredStage
  ) throws -> StageBasis {
    var settings = earlier.settings.object ?? JSON.Object()
    for (key, value) in try stage.earlierSettings() where settings[key] == nil {
      settings[key] = value
    }
    var upstream: [String: String] = [:]
    for artifact in stage.reads.union(stage.readsIfMade) {
      guard let (maker, digest) = artifacts[artifact] else { continue }
      // Rebuilt by its stage since it was read.
      guard earlier.upstream[maker] == nil || earlier.upstream[maker] == fingerprints[maker] else {
        continue
      }
      upstream[artifact.name] = digest
    }
    return StageBasis(
      version: earlier.version, settings: .object(settings),
      inputs: try inputs(earlier.inputs, now: stage.inputs()), upstream: upstream)
  }

  /// Returns the inputs under their current names.
  private func inputs(_ earlier: [StageInput], now: [StageInput]) throws -> [StageInput] {
    let identities = Dictionary(earlier.map { ($0.name, $0.identity) }) { first, _ in first }
    let contents = Set(identities.values)
    return now.compactMap { input in
      let found =
        identities[input.path] ?? identities[Folders.canonical(input.path)]
        // The same content from another path.
        ?? (contents.contains(input.identity) ? input.identity : nil)
      return found.map {
        StageInput(
          name: input.name, path: input.path,
          identity: Self.isUnchanged(input.path, since: $0) ? input.identity : $0)
      }
    }
  }

  /// Whether a file still has the size and modification time that end the identity of a large file.
  private static func isUnchanged(_ path: String, since identity: String) -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { return false }
    let (seconds, fraction) = (status.st_mtim.tv_sec, "\(status.st_mtim.tv_nsec)")
    let zeros = String(repeating: "0", count: max(0, 9 - fraction.count))
    return identity.hasSuffix(" \(status.st_size) \(seconds).\(zeros)\(fraction)")
  }

  // MARK: - Fingerprints

  /// Returns what stages that read this result recorded about it.
  private static func fingerprint(_ basis: StageBasis, _ configured: ConfiguredStage) -> String {
    var settings = basis.settings.object ?? JSON.Object()
    // Settings that had no effect then.
    for key in ["max_reject_fraction", "checkpoint_every"]
    where configured.settingsWithoutEffect.contains(key) {
      settings[key] = nil
    }
    var upstream = JSON.Object()
    for (stage, fingerprint) in basis.upstream.sorted(by: { $0.key < $1.key }) {
      upstream[stage] = .string(fingerprint)
    }
    let content: JSON = [
      "version": .integer(basis.version), "settings": JSON.object(settings).sorted,
      "inputs": .array(
        basis.inputs.sorted { $0.name < $1.name }.map { [.string($0.name), .string($0.identity)] }),
      "upstream": .object(upstream),
    ]
    return SHA256.hexDigest(of: Array(content.text().utf8))
  }
}

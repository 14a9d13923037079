import Files

/// A file of a finished result that is missing or differs from what was written.
struct LostFile: Equatable, CustomStringConvertible {
  /// The path in the workspace.
  let relative: String
  let path: String
  /// Nil: the file is missing.
  let damage: String?

  var description: String {
    guard let damage else { return "missing: \(path)" }
    // An error from opening the file begins with its path, too.
    return "damaged: " + (damage.hasPrefix("\(path): ") ? damage : "\(path): \(damage)")
  }
}

/// A comparison of a finished result with its record.
struct OutputCheck {
  let ownPaths: StagePaths
  let digests: FileDigests

  /// Returns the files of a result that are missing or damaged.
  ///
  /// Reads files whose size or times differ from when they were last read.
  ///
  /// - Parameter readsAll: also read files that seem unchanged
  /// - Returns: also the result with its files' current digests, if they mean the same
  func callAsFunction(
    _ result: StageResult, of stage: any Stage, readsAll: Bool = false
  ) throws -> (lost: [LostFile], result: StageResult) {
    var lost: [LostFile] = []
    var current = result
    for (relative, file) in result.files.sorted(by: { $0.key < $1.key }) {
      guard file.isRead, let expected = file.sha256 else { continue }
      let path = ownPaths.final(relative)
      guard Folders.exists(path) else {
        lost.append(LostFile(relative: relative, path: path, damage: nil))
        continue
      }
      let byteCount = Folders.byteCount(of: path)
      let found =
        byteCount == file.byteCount
        ? try readsAll ? digests.read(path) : digests.digest(ofFile: path, assumed: expected) : nil
      if found == expected { continue }
      if let damage = try Self.damage(of: relative, in: result, stage) {
        let difference =
          found.map { Self.difference(of: $0, from: expected) }
          ?? "\(byteCount) bytes instead of \(file.byteCount)"
        lost.append(
          LostFile(relative: relative, path: path, damage: damage.isEmpty ? difference : damage))
      } else {
        current.files[relative] = OutputFile(
          byteCount: byteCount, sha256: try digests.digest(ofFile: path))
      }
    }
    return (lost, current)
  }

  /// Returns the files of a result that belong to no artifact and are missing or damaged.
  ///
  /// - Parameter readsAll: also compare the bytes of files whose size matches
  func unread(_ result: StageResult, readsAll: Bool = false) throws -> [LostFile] {
    try result.files.filter { !$0.value.isRead }.sorted { $0.key < $1.key }.compactMap {
      relative, file in
      let path = ownPaths.final(relative)
      guard Folders.exists(path) else {
        return LostFile(relative: relative, path: path, damage: nil)
      }
      let byteCount = Folders.byteCount(of: path)
      guard byteCount == file.byteCount else {
        return LostFile(
          relative: relative, path: path,
          damage: "\(byteCount) bytes instead of \(file.byteCount)")
      }
      guard readsAll, let expected = file.sha256 else { return nil }
      let found = try digests.read(path)
      return found == expected
        ? nil
        : LostFile(
          relative: relative, path: path, damage: Self.difference(of: found, from: expected))
    }
  }

  private static func difference(of found: String, from expected: String) -> String {
    "its SHA-256 is \(found.prefix(12))…, but \(expected.prefix(12))… was written"
  }

  /// Describes the damage to a file whose bytes have changed; nil if its meaning is the same.
  private static func damage(
    of relative: String, in result: StageResult, _ stage: any Stage
  ) throws -> String? {
    guard let artifact = stage.writes.first(where: { covers($0.value, relative) })?.key else {
      return ""
    }
    do {
      guard let content = try stage.contentDigest(of: artifact) else { return "" }
      return content == result.artifacts[artifact.name] ? nil : ""
    } catch let interruption as Interruption {
      throw interruption
    } catch {
      return "\(error)"
    }
  }

  /// Whether a file is one of these paths, or below one.
  static func covers(_ paths: [String], _ file: String) -> Bool {
    paths.contains { file == $0 || file.hasPrefix("\($0)/") }
  }
}

// MARK: - A new result

extension StageResult {
  /// Lists the files that a stage has made.
  ///
  /// - Parameter path: the current location of a file
  init(
    _ run: StageRun, files paths: [String], of stage: any Stage, _ digests: FileDigests,
    knowing summary: WorkSummary = WorkSummary(), path: (String) -> String
  ) throws {
    self.init(run: run)
    let artifacts = stage.writes
    for relative in paths {
      let path = path(relative)
      let isRead = artifacts.values.contains { OutputCheck.covers($0, relative) }
      files[relative] = OutputFile(
        byteCount: Folders.byteCount(of: path),
        sha256: try digests.digest(ofFile: path), isRead: isRead)
    }
    for (artifact, paths) in artifacts {
      self.artifacts[artifact.name] =
        try summary.contentDigests[artifact] ?? stage.contentDigest(of: artifact)
        ?? digest(ofFilesAt: paths)
    }
  }

  /// SHA-256 over paths and digests.
  private func digest(ofFilesAt paths: [String]) -> String {
    let lines = files.filter { OutputCheck.covers(paths, $0.key) }.sorted { $0.key < $1.key }
      .map { "\($0.key) \($0.value.sha256 ?? "")" }
    return SHA256.hexDigest(of: Array(lines.joined(separator: "\n").utf8))
  }
}

import Catalog
import Files
package import PipelineCore

/// Sources that are read to the end may be deleted: the finished catalog stands for them.
extension Ingest {
  /// What was read of a pattern's files, where none of them is there any more.
  ///
  /// With copies of the images in the catalog some of a pattern's files may go; without them fewer files
  /// than before are other data, and only where all are gone does the catalog stand for them.
  ///
  /// - Throws: `SourceError.left` where other files are there that were passed over beside those that are gone
  func goneSources() throws -> [SourceRecord] {
    // The catalog is opened only where something may be gone; what is wrong with it shows where it is read.
    lazy var recorded = (try? catalogedSources()) ?? []
    var gone: [SourceRecord] = []
    for pattern in settings.source.patterns where PathKind(of: pattern) != .file {
      let left = try SourceFiles.matches(pattern, settings)
      guard
        settings.copyImages || left.allSatisfy(Self.isDoubtful) || pattern.contains("[")
      else { continue }
      let named = recorded.filter { SourceFiles.names(pattern, $0.path) }
      let lost = named.filter { !Folders.exists($0.path) }
      guard let first = lost.first, settings.copyImages || lost.count == named.count else {
        continue
      }
      // A name with brackets in it does not become a pattern when its file goes.
      let names = Set(named.map { ExactText($0.path) })
      let isPath = names.contains(ExactText(SourceFiles.plain(pattern)))
      let others = isPath ? [] : left.filter { !names.contains(ExactText($0)) }
      if lost.count == named.count, let other = others.first {
        // Descriptions and the like count where there is nothing else: nobody said that they do now.
        guard others.allSatisfy(Self.isDoubtful), !Self.isDoubtful(first.path)
        else { continue }
        throw SourceError.left(path: other, source: pattern, gone: lost.map(\.path))
      }
      gone += lost.filter { source in !gone.contains { $0.id == source.id } }
    }
    return gone
  }

  package func goneInputs() throws -> [String] { try goneSources().map(\.path) }

  /// The names by which the finished result has recorded what is gone: where a link led, it no longer says.
  ///
  /// - Parameter present: the names of what is there
  func recordedNames(of gone: [SourceRecord], besides present: [String]) throws -> [String] {
    guard !gone.isEmpty else { return [] }
    let taken = Set(present.map(ExactText.init))
    var recorded = try context.origin(of: Self.name)?.inputs ?? []
    recorded.removeAll { taken.contains(ExactText($0.name)) }
    return gone.map { source in
      let place = recorded.firstIndex { $0.identity == source.identity }
      return place.map { recorded.remove(at: $0).name } ?? Folders.canonical(source.path)
    }
  }

  /// What is said before a new catalog is made without files that are gone and that a pattern still names.
  func leftOutLines() throws -> [String] {
    let stoodFor = Set(try goneSources().map(\.id))
    let lost = ((try? catalogedSources()) ?? []).filter { source in
      !stoodFor.contains(source.id) && !Folders.exists(source.path)
        && settings.source.patterns.contains { SourceFiles.names($0, source.path) }
    }
    let hasCopies = try context.origin(of: Self.name)?.settings["copy_images"] == .bool(true)
    return lost.map { source in
      "\(source.path) does not exist any more: its \(Spelled.count(source.rowCount, of: "rows")) will not be in "
        + "the new catalog; to keep them, restore it"
        + (hasCopies ? ", or go on with ingest.copy_images=true" : "")
    }
  }

  /// Whether something counts as records only where there are no others: descriptions, and the images' folders.
  private static func isDoubtful(_ path: String) -> Bool {
    SourceFormat.isDoubtful(path) || PathKind(of: path) == .folder
  }

  /// The settings without the files that are named one by one and are gone.
  ///
  /// - Parameter gone: what the finished catalog stands for
  func settings(without gone: [SourceRecord]) -> IngestSettings {
    var left = settings
    left.source.patterns.removeAll { pattern in
      gone.contains { ExactText($0.path) == ExactText(SourceFiles.plain(pattern)) }
    }
    return left
  }

  /// Whether a pattern's files are gone and the finished catalog stands for them.
  func isStoodFor(_ pattern: String) -> Bool {
    let gone = try? goneSources()
    return gone?.contains { SourceFiles.names(pattern, $0.path) } ?? false
  }
}

extension SourceFiles {
  /// Whether a pattern names a file, or a folder that it is in.
  static func names(_ pattern: String, _ path: String) -> Bool {
    let root = path.hasPrefix("/") ? "/" : ""
    let parts = path.split(separator: "/")
    // A name with brackets in it may have stood for itself.
    return [pattern, PathPattern.escaped(pattern)].contains { pattern in
      parts.indices.contains { last in
        PathPattern(pattern).matches(path: root + parts[...last].joined(separator: "/"))
      }
    }
  }
}

/// Says what a new catalog would lose, and refuses to read again what only the finished catalog stands for, before anything is begun.
package enum GoneSources {
  /// What the stages that have something to do leave out, each in a line.
  package static func notes(on work: [PlannedWork]) throws -> [String] {
    try work.compactMap { $0.stage as? Ingest }.flatMap { try $0.leftOutLines() }
  }

  /// - Parameter work: the stages that have something to do
  /// - Throws: `SourceError`
  package static func require(for work: [PlannedWork]) throws {
    for item in work {
      guard let ingest = item.stage as? Ingest, let gone = try ingest.goneSources().first else {
        continue
      }
      throw SourceError.goneSource(path: gone.path)
    }
  }
}

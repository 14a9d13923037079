import Catalog
import Files
package import PipelineCore

/// Ingests comparisons and lists of prompts into the catalog.
///
/// - Reads:   the files of `source`; nothing of them is copied but text and numbers
/// - Writes:  `catalog.sqlite`
/// - Item:    a row group of a parquet file, or some lines of a text file
/// - Rejects: `missing-value`, `bad-value`, `bad-text`, `bad-label`, `bad-votes`, `bad-ranking`,
///   `bad-count`, `bad-weight`, `long-caption`, `unreadable-record`, `unsafe-path`, `missing-image`,
///   `unreadable-image`, `conflicting-image`; and what filters leave out: `filtered-tie`,
///   `filtered-unlabelled`, `filtered-same-images`, `filtered-many-per-prompt`, `filtered-not-best`,
///   `filtered-limit`, `filtered-not-kept`, `filtered-dropped`
package struct Ingest: DivisibleStage {
  package static let name = "ingest"
  package static let version = 3
  package static let unit = "rows"
  /// The contents of the sources are among the inputs.
  package static let settingsWithoutEffect: Set<String> = [
    "max_reject_fraction", "source", "keep", "drop",
  ]
  package static let ownPaths = [CatalogDatabase.fileName]
  package static let databases = [CatalogDatabase.fileName]

  package struct Item {
    let source: SourceFile
    let block: Int
    let rowCount: Int
    /// The index among all items, including finished ones.
    let position: Int
    /// What tells its source from others that may have the same content.
    let partName: String
  }

  package let reads: Set<Artifact> = []
  package let writes: [Artifact: [String]] = [.catalog: [CatalogDatabase.fileName]]

  package let settings: IngestSettings
  let context: StageContext
  let options: ReadingOptions

  package init(settings: IngestSettings, context: StageContext) throws {
    self.settings = settings
    self.context = context
    options = try ReadingOptions(settings)
  }

  var catalogPath: String { context.database(CatalogDatabase.fileName) }
  /// The catalog of the last finished run, even while another is being built.
  var finishedCatalogPath: String { context.workspace.path(CatalogDatabase.fileName) }

  package func inputs() throws -> [StageInput] {
    let gone = try goneSources()
    let left = settings(without: gone)
    let files =
      left.source.patterns.isEmpty && !gone.isEmpty
      ? []
      : try SourceFile.all(left) { pattern in
        gone.contains { SourceFiles.names(pattern, $0.path) }
      }
    let names = files.map { Folders.canonical($0.path) }
    let sources =
      try zip(names, files).map { (name: $0, path: $1.path, identity: try identity(of: $1)) }
      + zip(try recordedNames(of: gone, besides: names), gone).map {
        (name: $0, path: $1.path, identity: $1.identity)
      }
    // A catalog of an earlier version may list the same file under two names.
    var counts: [ExactText: Int] = [:]
    return sources.map { source in
      let count = counts[ExactText(source.name), default: 0] + 1
      counts[ExactText(source.name)] = count
      let name = count > 1 ? "\(source.name) (\(count))" : source.name
      return StageInput(name: name, path: source.path, identity: source.identity)
    } + (try listInputs())
  }

  /// Returns the lists of rows to keep or to leave out.
  func listInputs() throws -> [StageInput] {
    try [("keep", settings.keep), ("drop", settings.drop)].flatMap { name, list in
      try list.patterns.map { path in
        StageInput(
          name: "\(name) \(Folders.canonical(path))", path: path,
          identity: "\(name) \(try context.digests.digest(ofFile: path))")
      }
    }
  }

  /// Returns the identity of a source's contents and form.
  func identity(of source: SourceFile) throws -> String {
    let digest =
      PathKind(of: source.path) == .folder
      ? try FolderRecords.identity(of: source.path, context.digests)
      : try context.digests.digest(ofFile: source.path)
    return "\(digest) \(source.split)"
  }

  private func finishedCatalog() throws -> CatalogDatabase {
    try CatalogDatabase(
      path: finishedCatalogPath, access: context.isPart ? .immutable : .readOnly)
  }

  func catalogedSources() throws -> [SourceRecord] {
    guard Folders.exists(finishedCatalogPath) else { return [] }
    return try finishedCatalog().sources()
  }

  package func contentDigest(of artifact: Artifact) throws -> String? {
    let catalog = try finishedCatalog()
    try catalog.checkDigests()
    return try catalog.contentDigest()
  }

  package func takeOverEarlierResult() throws {
    let catalog = try CatalogDatabase(path: finishedCatalogPath)
    try catalog.database.checkIntegrity(withIndices: true)
    try catalog.makeIndices()
    // Files are ordered by content, no longer by time.
    for source in try SourceFile.all(settings, mayBeGone: { _ in true }) {
      try catalog.setIdentity(try identity(of: source), ofSource: source.path)
    }
    try catalog.recordDigests()
    try catalog.database.writeLogBack()
  }

  package func workPlan() throws -> WorkPlan<IngestWork> {
    let catalog = Deferred { try CatalogDatabase(path: catalogPath) }
    if !context.isPart { try startAnewIfImagesAreBack(catalog) }
    // The merge handles what is already recorded.
    let known = try context.isPart ? [:] : catalog().sourcesByPath()
    // Sources that exist only in the finished catalog cannot be read into a new one.
    if let gone = try goneSources().first { throw SourceError.goneSource(path: gone.path) }
    let sources = try SourceFile.all(settings)
    let records = OpenRecords(settings, options)
    var items: [Item] = []
    var position = 0
    var rowCount = 0
    var selection = try RowSelection(settings, sources: sources)
    var readings = SourceReadings()
    var preferences = SignedPreferences()
    for (source, partName) in zip(sources, Self.partNames(of: sources)) {
      let file = try records(of: source)
      try preferences.add(file)
      readings.add(file)
      let limit = selection.take(from: file)
      let done = try known[ExactText(source.path)].map {
        try catalog().recordedRowGroups(ofSource: $0.id)
      }
      for (block, start) in file.blockStarts.dropLast().enumerated() where start < limit {
        let rowsOfBlock = file.blockRowCounts[block]
        rowCount += rowsOfBlock
        if done?.contains(block) != true {
          items.append(
            Item(
              source: source, block: block, rowCount: rowsOfBlock, position: position,
              partName: partName))
        }
        position += 1
      }
    }
    try preferences.requireNone()
    return WorkPlan(
      items, finishedUnitCount: try context.isPart ? 0 : catalog().readRowCount(),
      unitCount: \.rowCount, division: self
    ) {
      try IngestWork(
        self, catalog, records, selection, notes: readings.lines, totalRowCount: rowCount)
    }
  }

  /// The message if the lists of `drop` match nothing.
  static let nothingDropped =
    "ingest.drop drops nothing: no source has any of the rows or images that it lists"

  package func findings() throws -> [String] {
    let catalog = try CatalogDatabase(path: finishedCatalogPath, access: .readOnly)
    try catalog.checkDigests()
    return try catalog.countsBySource().filter { !$0.isBalanced }.map {
      "\($0.path): \($0.rows) rows were read, but the catalog has \($0.pairs) pairs, "
        + "\($0.listedPrompts) prompts and \($0.rejections) rejects from them"
    }
  }
}

extension Artifact {
  package static let catalog: Artifact = "catalog"
  static let encodings: Artifact = "encodings"
  static let labels: Artifact = "labels"
  static let shards: Artifact = "shards"
}

import Catalog
import Files
import PipelineCore

/// The contents of sources in a catalog of its own, outside any pipeline's workspace.
///
/// Does not stop at the first problem: every readable source is read.
struct CatalogDraft {
  /// A source that was read, and the number of its selected rows.
  struct Source {
    let file: any RecordFile
    let split: String
  }

  let catalog: CatalogDatabase
  let settings: IngestSettings
  private(set) var sources: [Source] = []
  /// All rows of the sources, read or not.
  private(set) var rowCount = 0
  /// Obstacles to ingesting the data, one line each.
  private(set) var problems: [String] = []
  private(set) var notes: [String] = []
  /// The records made from the first rows.
  private(set) var firstRows: [(path: String, contents: RowGroupContents)] = []

  private static let shownRowCount = 3

  /// - Parameters:
  ///   - path: the catalog's path, which must not exist
  ///   - rowLimit: the maximum number of rows to read
  ///   - observe: called with the number of finished rows; a throw aborts
  init(
    _ settings: IngestSettings, at path: String, rowLimit: Int = .max,
    observe: (_ rows: Int) throws -> Void = { _ in }
  ) throws {
    self.settings = settings
    catalog = try CatalogDatabase(path: path)
    try catalog.dropIndices()
    let options = try ReadingOptions(settings)
    try options.requireImageRoot()
    let found = findSources(options)
    guard !sources.isEmpty else { return }
    do {
      try read(found, rowLimit, observe)
      try catalog.makeIndices()
      try PairFilters(settings).apply(to: catalog)
      if !settings.drop.patterns.isEmpty, try catalog.readRowCount() == rowCount,
        try catalog.rejectionCountsByCode(stage: Ingest.name)[RowRejection.droppedCode] == nil
      {
        notes.append(Ingest.nothingDropped)
      }
      try judge()
    } catch let error as any ClassifiedError where error.kind == .input || error.kind == .settings {
      problems.append("\(error)".printable)
    }
  }

  /// Opens every source and collects all of their problems.
  private mutating func findSources(_ options: ReadingOptions) -> [SourceFile] {
    var found: [SourceFile] = []
    // Pattern by pattern, so that one without matches does not hide problems of another.
    for pattern in settings.source.patterns {
      do {
        var one = settings
        one.source = SourceList([pattern])
        let files = try SourceFiles(one)
        found += files.files
        notes += files.notes
      } catch {
        problems.append("\(error)".printable)
      }
    }
    found.sort { ExactText($0.path) < ExactText($1.path) }
    do {
      let distinct = try SourceFiles.distinct(found)
      found = distinct.files
      notes += distinct.notes
    } catch {
      problems.append("\(error)".printable)
    }
    var readable: [SourceFile] = []
    for source in found {
      do {
        let file = try source.open(options)
        let wrong = file.problems(also: settings.filteredFields)
        problems += wrong.map { "\($0)".printable }
        rowCount += file.blockRowCounts.reduce(0, +)
        sources.append(Source(file: file, split: source.split))
        if wrong.isEmpty { readable.append(source) }
      } catch {
        problems.append("\(error)".printable)
      }
    }
    return readable
  }

  private mutating func read(
    _ readable: [SourceFile], _ rowLimit: Int, _ observe: (Int) throws -> Void
  ) throws {
    var limited = settings
    let isCut = limited.limitBy == .rows ? rowLimit < (limited.limit ?? .max) : false
    if isCut { limited.limit = rowLimit }
    var selection = try RowSelection(limited, sources: readable)
    let paths = Set(readable.map { ExactText($0.path) })
    let files = sources.filter { paths.contains(ExactText($0.file.path)) }
    try selection.sampleIfNeeded(limited) { caption in
      for source in files { try source.file.forEachCaption(caption) }
    }
    var settings = settings
    settings.copyImages = false
    let inspector = ImageInspector(settings)
    do {
      var preferences = SignedPreferences()
      for source in files { try preferences.add(source.file) }
      try preferences.requireNone()
    } catch let error as any ClassifiedError where error.kind == .input {
      problems.append("\(error)".printable)
    }
    for source in files {
      let file = source.file
      let limit = selection.take(from: file)
      let columns = file.hasImages ? file.imageColumns : nil
      _ = try catalog.addSource(
        path: file.path, identity: file.path, rowCount: file.blockRowCounts.reduce(0, +),
        rowGroupCount: file.blockRowCounts.count, image0Column: columns?.0,
        image1Column: columns?.1, imageRoot: settings.imageRoot)
      guard
        let record = try catalog.sources().first(where: {
          ExactText($0.path) == ExactText(file.path)
        })
      else {
        continue
      }
      do {
        for (block, start) in file.blockStarts.dropLast().enumerated() where start < limit {
          var contents = try BlockReader.read(
            file, block: block, split: source.split, settings: limited, selection: selection,
            inspector: inspector, observe: observe)
          // Rows beyond the limit were not inspected.
          if isCut { contents.removeRows(from: limit, start: start) }
          show(contents, of: file.path)
          try catalog.record(contents, of: record)
        }
      } catch let error as any ClassifiedError where error.kind == .input {
        problems.append("\(error)".printable)
      }
    }
    if !isCut { notes += selection.notes }
  }

  private mutating func show(_ contents: RowGroupContents, of path: String) {
    let shown = firstRows.reduce(0) { $0 + $1.contents.rowCount }
    guard shown < Self.shownRowCount else { return }
    firstRows.append((path, contents.first(Self.shownRowCount - shown)))
  }

  /// Adds the problems that would stop a run.
  private mutating func judge() throws {
    let counts = try catalog.counts()
    let read = try catalog.readRowCount()
    do {
      guard counts.pairs + counts.listedPrompts > 0 || read == 0 && !problems.isEmpty else {
        throw SourceError.nothingUsable(
          rows: read,
          example: try catalog.rejectionExamples().first?.example ?? "there are no rows")
      }
      try checkRejections(
        stage: Ingest.name, rejected: try catalog.badRowCount(), of: read,
        limit: settings.maxRejectFraction, example: try Funnel.commonestRejection(in: catalog))
    } catch let error as any ClassifiedError {
      problems.append("\(error)".printable)
    }
  }
}

extension RowGroupContents {
  /// Removes the rows of a block from `limit` on.
  fileprivate mutating func removeRows(from limit: Int, start: Int) {
    guard limit < start + rowCount else { return }
    pairs.removeAll { $0.row >= limit }
    prompts.removeAll { $0.row >= limit }
    rejections.removeAll { $0.row >= limit }
    rowCount = limit - start
    outcomeCount = pairs.count + prompts.count + rejections.count
  }

  /// Returns the records made from the first rows.
  fileprivate func first(_ count: Int) -> RowGroupContents {
    let rows = Set(pairs.map(\.row) + prompts.map(\.row) + rejections.map(\.row)).sorted().prefix(
      count)
    var some = RowGroupContents(ordinal: ordinal, rowCount: rows.count)
    some.pairs = pairs.filter { rows.contains($0.row) }
    some.prompts = prompts.filter { rows.contains($0.row) }
    some.rejections = rejections.filter { rows.contains($0.row) }
    return some
  }
}

/// A source of records, read in blocks: row groups of a parquet file, some lines of a text file.
protocol RecordFile: AnyObject {
  var path: String { get }
  /// The names of a record's columns, for messages.
  var columnNames: [String] { get }
  var blockRowCounts: [Int] { get }
  /// The interpretation of the source.
  var plan: ColumnPlan { get }

  func hasColumn(_ field: RecordField) -> Bool

  /// Returns all columns that cannot be read as needed.
  func columnProblems() -> [any Error]

  /// Calls `body` with each row of a block, in order, and its number in the file; a record that
  /// cannot be parsed is a rejection.
  ///
  /// - Parameter only: the requested field, so that the others need not be read; nil: all
  func forEachRow(
    inBlock block: Int, only field: RecordField?,
    _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void) throws

  /// Returns an image that a row of a block contains or names.
  func image(block: Int, row: Int, column: String) throws -> EncodedImage
}

extension RecordFile {
  /// Whether the records are only prompts.
  var isPromptList: Bool { plan.form == .prompts }

  /// Whether the records contain images, or only their identities.
  var hasImages: Bool { plan.form.imageFields?.allSatisfy(hasColumn) ?? !isPromptList }

  /// The columns of a row's first and second image.
  var imageColumns: (String, String) {
    let fields = plan.form.imageFields ?? [plan.form == .rankedImages ? .image : .images]
    return (plan.name(of: fields[0]), plan.name(of: fields[fields.count - 1]))
  }

  func forEachRow(
    inBlock block: Int, _ body: (Int, Result<any RowValues, RowRejection>) throws -> Void
  ) throws {
    try forEachRow(inBlock: block, only: nil, body)
  }

  /// Calls `body` with the prompts of all rows that have one.
  func forEachCaption(_ body: (String) -> Void) throws {
    for block in blockRowCounts.indices {
      try forEachRow(inBlock: block, only: .caption) { _, values in
        do { body(try Record.caption(try values.get())) } catch is RowRejection {}
      }
    }
  }

  /// Whether the records contain the images' identities.
  var hasUIDs: Bool { plan.form.imageFields != nil && RecordField.uids.contains(where: hasColumn) }

  /// The number of rows before each block.
  var blockStarts: [Int] { blockRowCounts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) } }

  /// Returns all problems of reading the source: missing columns, columns of other types.
  func problems(also extra: [RecordField]) -> [any Error] {
    guard plan.isRecognized else {
      return [SourceError.unrecognized(path: path, present: columnNames)]
    }
    var fields = plan.required + (isPromptList ? [] : extra)
    if let images = plan.form.imageFields {
      let names = images.map(plan.name)
      if Set(names).count < names.count {
        return [
          SourceError.sharedColumn(path: path, column: names[0], fields: images.map(plan.key))
        ]
      }
      // A source may omit both images, but not one; and both identities, if it has the images.
      let hasAnyImage = images.contains(where: hasColumn)
      if hasAnyImage { fields += images }
      if hasUIDs || !hasAnyImage { fields += RecordField.uids }
    }
    var missing: [RecordField] = []
    for field in fields where !hasColumn(field) && !missing.contains(field) {
      missing.append(field)
    }
    let problem = SourceError.missingColumns(
      path: path, form: plan.form,
      columns: missing.map { .init(name: plan.name(of: $0), field: plan.key(of: $0)) },
      present: columnNames)
    // Without rows, a writer may not have known the columns' types.
    let hasRows = blockRowCounts.contains { $0 > 0 }
    return (missing.isEmpty ? [] : [problem]) + (hasRows ? columnProblems() : [])
  }

  /// Rejects a source with missing or unreadable columns, naming them.
  func requireColumns(also extra: [RecordField]) throws {
    if let problem = problems(also: extra).first { throw problem }
  }
}

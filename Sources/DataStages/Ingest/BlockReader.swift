import Catalog

/// Converts one block of a source to catalog records.
///
/// Rows are collected until their images fill a few megabytes, then the images are hashed and
/// checked together while the next rows are read: a row group of gigabytes passes through in
/// bounded memory.
struct BlockReader {
  static let batchByteCount = 8 << 20
  static let batchRowCount = 256

  private typealias Pending = (row: Int, record: Record)

  private let settings: IngestSettings
  private let file: any RecordFile
  private let split: String
  private let selection: RowSelection
  private var contents: RowGroupContents
  private var pending: [Pending] = []
  private var pendingByteCount = 0
  /// The previous batch and the inspection of its images.
  private var inspected: (rows: [Pending], images: Inspection)?

  private init(
    _ file: any RecordFile, _ ordinal: Int, _ split: String, _ settings: IngestSettings,
    _ selection: RowSelection
  ) {
    self.settings = settings
    self.file = file
    self.split = split
    self.selection = selection
    contents = RowGroupContents(ordinal: ordinal, rowCount: file.blockRowCounts[ordinal])
  }

  /// Reads block `ordinal` of `file`.
  ///
  /// - Parameter observe: called after each batch of rows; a throw aborts
  static func read(
    _ file: any RecordFile, block ordinal: Int, split: String, settings: IngestSettings,
    selection: RowSelection, inspector: ImageInspector, observe: (_ rows: Int) throws -> Void
  ) throws -> RowGroupContents {
    var reader = BlockReader(file, ordinal, split, settings, selection)
    var observedRow = file.blockStarts[ordinal]
    try file.forEachRow(inBlock: ordinal) { row, values in
      do {
        try reader.add(try values.get(), row: row)
      } catch let rejection as RowRejection {
        reader.reject(row, rejection)
      }
      guard reader.isFull else { return }
      reader.inspectPending(inspector)
      try observe(max(0, row + 1 - observedRow))
      observedRow = row + 1
    }
    reader.inspectPending(inspector)
    reader.finishInspected()
    return reader.finished()
  }

  private var isFull: Bool {
    pending.count >= Self.batchRowCount || pendingByteCount >= Self.batchByteCount
  }

  private mutating func add(_ values: some RowValues, row: Int) throws {
    try selection.check(row: row, of: file.path)
    guard !file.isPromptList else {
      let caption = try Record.caption(values)
      try selection.check(caption: caption)
      contents.prompts.append(.init(row: row, text: caption, split: split))
      return
    }
    let record = try Record(values, file) { caption, uids in
      try selection.check(caption: caption)
      if !uids.isEmpty { try selection.check(uids: uids) }
    } filter: {
      try settings.filter($0, split: split)
    }
    pending.append((row, record))
    for case .bytes(let bytes)? in record.images.map({ $0.image }) {
      pendingByteCount += bytes.count
    }
  }

  private mutating func reject(
    _ row: Int, _ rejection: RowRejection, part: Int = 0, column: String? = nil
  ) {
    contents.rejections.append(
      .init(
        row: row, part: part, column: column ?? rejection.field.map(file.plan.name),
        code: rejection.code,
        reason: rejection.reason))
  }

  private mutating func inspectPending(_ inspector: ImageInspector) {
    finishInspected()
    var tasks: [ImageInspector.Task] = []
    for (_, record) in pending {
      for image in record.images {
        guard let encoded = image.image else { continue }
        tasks.append(
          .init(image: encoded, field: image.field, column: image.column, place: image.place))
      }
    }
    inspected = (pending, Inspection(of: tasks, by: inspector))
    pending.removeAll()
    pendingByteCount = 0
  }

  private mutating func finishInspected() {
    guard let (rows, images) = inspected else { return }
    inspected = nil
    var outcomes = images.outcomes()[...]
    for (row, record) in rows {
      let contents = record.images.map { image -> ImageInspector.Outcome? in
        image.image == nil ? image.rejection.map { .failure($0) } : outcomes.popFirst()
      }
      for (part, comparison) in record.comparisons.enumerated() {
        addPair(row, part, record, comparison, contents)
      }
    }
  }

  private mutating func addPair(
    _ row: Int, _ part: Int, _ record: Record, _ comparison: Comparison,
    _ images: [ImageInspector.Outcome?]
  ) {
    var sides: [RowGroupContents.Image] = []
    for index in [comparison.first, comparison.second] {
      switch images[index] {
      case .failure(let rejection)?:
        return reject(row, rejection, part: part, column: record.images[index].column)
      case .success(let content)?:
        sides.append(.init(uid: record.images[index].uid ?? content.sha256, content: content))
      case nil: sides.append(.init(uid: record.images[index].uid ?? "", content: nil))
      }
    }
    do throws(RowRejection) {
      if file.plan.form.imageFields == nil {
        try settings.filter(RowLabels(comparison), split: split)
      }
      try selection.check(uids: sides.map(\.uid))
      try selection.check(row: row, part: part, of: file.path)
    } catch {
      return reject(row, error, part: part)
    }
    var pair = RowGroupContents.Pair(
      row: row, prompt: record.caption, image0: sides[0], image1: sides[1],
      label0: comparison.label0, label1: comparison.label1, weight: comparison.weight,
      split: split)
    pair.part = part
    pair.provenance = record.provenance
    contents.pairs.append(pair)
  }

  private mutating func finished() -> RowGroupContents {
    contents.rejections.sort { ($0.row, $0.part) < ($1.row, $1.part) }
    if file.plan.form.imageFields == nil, !file.isPromptList {
      // A row with a ranking counts as many pairs and rejects as it has pairs of images.
      contents.outcomeCount = contents.pairs.count + contents.rejections.count
    }
    return contents
  }
}

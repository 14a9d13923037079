import Files
import PipelineCore

/// Options for reading sources, from the pipeline file.
struct ReadingOptions: Sendable {
  var format = DataForm.auto
  /// Source-specific names of columns.
  var columns: [RecordField: String] = [:]
  /// The folder that image paths are relative to; nil: the folder of the file that names them.
  var imageRoot: String?

  /// The name of the prompt column in a list of prompts.
  var promptName: String { columns[.caption] ?? RecordField.caption.rawValue }
}

extension ReadingOptions {
  init(_ settings: IngestSettings) throws(PipelineError) {
    format = settings.format
    imageRoot = settings.imageRoot
    for (key, name) in settings.columns.sorted(by: { $0.key < $1.key }) {
      guard let field = RecordField(key: key) else {
        throw .unknownSetting(
          path: "ingest.columns.\(key)", nearest: nearest(to: key, in: RecordField.keys),
          known: RecordField.keys)
      }
      columns[field] = name
    }
  }

  /// Rejects a root that does not exist before rows are read; afterwards it may be deleted.
  func requireImageRoot() throws(PipelineError) {
    guard let root = imageRoot, PathKind(of: root) != .folder else { return }
    throw .badSetting(path: "ingest.image_root", reason: "there is no folder \(root)")
  }
}

/// The form of one source and the names of its columns.
struct ColumnPlan: Sendable {
  let form: DataForm
  /// Fields that the form requires.
  let required: [RecordField]
  /// Whether the form follows from a column or from the settings.
  let isRecognized: Bool
  private let names: [RecordField: String]

  private init(
    form: DataForm, required: [RecordField], isRecognized: Bool = true,
    names: [RecordField: String]
  ) {
    self.form = form
    self.required = required
    self.isRecognized = isRecognized
    self.names = names
  }

  func name(of field: RecordField) -> String { names[field] ?? field.rawValue }

  /// Returns the key of a field in `ingest.columns`: the published name only if the data is in the
  /// published form.
  func key(of field: RecordField) -> String {
    form == .pickapic ? field.rawValue : field.plainName ?? field.rawValue
  }

  /// The fields that are read.
  var fields: [RecordField] {
    RecordField.allCases.filter { names[$0] != nil }
  }
}

extension ColumnPlan {
  /// - Parameters:
  ///   - columns: the source's columns, members of structs by their dotted paths
  ///   - counts: the number of records that have each; nil if all records have all columns
  ///   - options: the pipeline file's options
  ///   - mayBePrompts: whether a source without any comparison may be a list of prompts
  init(
    columns: [String], counts: [String: Int]? = nil, options: ReadingOptions, mayBePrompts: Bool
  ) {
    let present = ColumnSet(columns)
    func records(_ name: String) -> Int { counts.map { $0[name] ?? 0 } ?? 1 }
    /// The first of the names present in the most records.
    func commonest(_ names: [String]) -> String? {
      names.compactMap(present.spelling).reduce(nil as String?) { found, name in
        found.map { records($0) >= records(name) ? $0 : name } ?? name
      }
    }
    func names(_ layout: DataLayout) -> [RecordField: String] {
      layout.columns.mapValues { present.spelling($0) ?? $0 }
        .merging(options.columns.filter { layout.columns[$0.key] != nil }) { $1 }
    }
    func count(_ layout: DataLayout) -> Int {
      names(layout).values.count(where: present.contains)
        + layout.hints.count {
          options.columns[$0].map(present.contains) ?? (present.spelling($0.rawValue) != nil)
        }
    }
    let knownCaption = options.columns[.caption] ?? commonest(DataLayout.captions)
    let layouts = DataLayout.all.filter { options.format == .auto || $0.form == options.format }
    // A single record with a member of another form does not decide.
    func fillingCount(_ layout: DataLayout) -> Int { names(layout).values.map(records).min() ?? 0 }
    let whole = layouts.filter { names($0).values.allSatisfy(present.contains) }
      .reduce(nil as DataLayout?) { found, layout in
        found.map { fillingCount($0) >= fillingCount(layout) ? $0 : layout } ?? layout
      }
    let hasAny = layouts.contains { count($0) > 0 }
    let isPrompts =
      options.format == .prompts
      || options.format == .auto && whole == nil && !hasAny
        && mayBePrompts && knownCaption.map(present.contains) ?? false
    let plainCaption = knownCaption ?? "prompt"
    guard !isPrompts,
      let nearest = whole
        ?? Self.best(layouts, { (count($0), names($0).values.count { !present.contains($0) }) })
    else {
      self.init(
        form: options.format == .auto ? .prompts : options.format, required: [.caption],
        names: [.caption: plainCaption])
      return
    }
    var all = names(nearest)
    let published =
      nearest.form == .pickapic ? present.spelling(RecordField.caption.rawValue) : nil
    all[.caption] =
      options.columns[.caption] ?? published ?? knownCaption
      ?? (nearest.form == .pickapic ? RecordField.caption.rawValue : plainCaption)
    func add(_ field: RecordField, _ candidates: [String]) {
      all[field] = options.columns[field] ?? candidates.lazy.compactMap(present.spelling).first
    }
    if nearest.form == .pickapic {
      // In the published form every field has its published name.
      for field in Self.published where field != .caption {
        all[field] =
          options.columns[field] ?? present.spelling(field.rawValue)
          ?? field.plainName.flatMap(present.spelling) ?? field.rawValue
      }
    } else {
      for field in Self.common { add(field, [field.rawValue]) }
      add(.model0, [nearest.models[0]])
      add(.model1, [nearest.models[1]])
      if nearest.form.imageFields != nil {
        for field in RecordField.uids { add(field, [field.rawValue]) }
      }
    }
    if all[.userID].map(present.contains) != true { add(.userID, DataLayout.annotators) }
    self.init(
      form: nearest.form,
      required: [.caption] + RecordField.allCases.filter { nearest.columns[$0] != nil },
      isRecognized: options.format != .auto || hasAny, names: all)
  }

  /// The fields of the published form.
  static let published: [RecordField] = [
    .caption, .image0, .image1, .image0UID, .image1UID, .bestImageUID, .label0, .label1, .hasLabel,
    .areDifferent, .examplesPerPrompt, .rankingID, .userID, .model0, .model1, .createdAt,
    .image0URL, .image1URL, .weight,
  ]
  private static let common: [RecordField] = [
    .hasLabel, .areDifferent, .examplesPerPrompt, .rankingID, .createdAt, .weight,
  ]

  /// Returns the layout with the most columns present; among equals the one with the fewest
  /// missing, then the first.
  private static func best(
    _ layouts: [DataLayout], _ count: (DataLayout) -> (present: Int, missing: Int)
  ) -> DataLayout? {
    layouts.enumerated().max { first, second in
      let (one, two) = (count(first.element), count(second.element))
      return (one.present, -one.missing, -first.offset) < (
        two.present, -two.missing, -second.offset
      )
    }?.element
  }
}

/// The names of a source's columns; a struct's name stands for its members.
private struct ColumnSet {
  private let names: Set<String>
  /// The names by their lower-case form, if unique.
  private let spellings: [String: String]

  init(_ columns: [String]) {
    var names = Set(columns)
    for column in columns {
      var path = column[...]
      while let dot = path.lastIndex(of: ".") {
        path = path[..<dot]
        names.insert(String(path))
      }
    }
    self.names = names
    spellings = Dictionary(grouping: names) { $0.lowercased() }.compactMapValues {
      $0.count == 1 ? $0[0] : nil
    }
  }

  /// Returns the source's spelling of a name, in any case; nil if there is none, or several but no
  /// exact match.
  func spelling(_ name: String) -> String? {
    names.contains(name) ? name : spellings[name.lowercased()]
  }

  func contains(_ name: String) -> Bool { names.contains(name) }
}

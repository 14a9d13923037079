import Catalog
import Files
public import PipelineCore
import Reporting

/// The checks of preference data that should precede training: `spo audit`.
///
/// It reads the catalog of a pipeline whose ingest stage is done, or else the files, and changes
/// nothing.
public struct Audit {
  /// The data to audit.
  public enum Subject {
    case pipeline(Pipeline)
    /// Files, with settings of stage ingest as in ``IngestPreview``.
    case files([String], overrides: [String])
  }

  let data: AuditedData
  let prompts: PromptAudit
  let looks: ImageLooks
  let findings: [AuditFinding]
  let counts: CatalogCounts
  let rejections: [CatalogDatabase.RejectionExample]
  let problems: [String]
  let catalog: CatalogDatabase
  private let folder: TemporaryFolder?

  /// - Parameters:
  ///   - looksAtImages: whether images are decoded, to find similar ones
  ///   - observe: called with progress messages
  public init(
    _ subject: Subject, looksAtImages: Bool = true, observe: @escaping (String) -> Void = { _ in }
  ) throws {
    func check() throws { if let interruption = Interruption.pending { throw interruption } }
    let hint: String?
    (catalog, problems, hint, folder) = try Self.catalog(subject) { rows in
      observe("\(Spelled.count(rows, of: "rows")) read")
      try check()
    }
    counts = try catalog.counts()
    guard counts.pairs > 0 || problems.isEmpty else { throw Refusal(problems: problems) }
    rejections = try catalog.rejectionExamples()
    guard counts.pairs > 0 || !rejections.isEmpty else {
      throw Refusal(
        problems: ["audit: there are only prompts, and no pairs of images to examine"]
          + [hint].compactMap { $0 })
    }
    data = try AuditedData(catalog)
    let total = data.images.count
    looks =
      looksAtImages
      ? try ImageLooks(data, catalog) { done in
        observe("\(done) of \(total) images examined")
        try check()
      } : ImageLooks(without: data)
    prompts = try PromptAudit(data, isNear: looks.isNear, twins: looks.twins)
    var findings = prompts.findings
    for (number, image) in data.images.enumerated() {
      let place = image.name
      if image.identityCount > 1 {
        findings[.sharedBytes]?.add(
          .init(
            place: place, prompt: "", images: [number], note: "\(image.identityCount) identities"))
      }
      let twins = looks.twins(of: number)
      if let twin = twins.first, twin < number {
        findings[.nearDuplicates]?.add(
          .init(
            place: place, prompt: "", images: [twin, number],
            note: "looks like \(data.images[twin].name)"))
      }
    }
    self.findings = AuditKind.allCases.compactMap { findings[$0] }
  }

  private static func catalog(
    _ subject: Subject, _ observe: (Int) throws -> Void
  ) throws -> (CatalogDatabase, problems: [String], hint: String?, TemporaryFolder?) {
    let settings: IngestSettings
    switch subject {
    case .pipeline(let pipeline):
      guard let stage = try pipeline.madeStages().lazy.compactMap({ $0 as? Ingest }).first else {
        throw PipelineError.badSetting(path: pipeline.path, reason: "has no stage ingest to audit")
      }
      let path = "\(pipeline.workspacePath)/\(CatalogDatabase.fileName)"
      if try pipeline.status().contains(where: { $0.name == Ingest.name && $0.state == .done }) {
        return (try CatalogDatabase(path: path, access: .readOnly), [], nil, nil)
      }
      settings = stage.settings
    case .files(let files, let overrides):
      settings = try IngestSettings(files: files, overrides: overrides)
    }
    let folder = try TemporaryFolder()
    var rows = 0
    let draft = try CatalogDraft(settings, at: "\(folder.path)/catalog.sqlite") { count in
      rows += count
      try observe(rows)
    }
    let hint = draft.sources.lazy.compactMap(\.file.promptsAloneLine).first
    return (draft.catalog, draft.problems, hint, folder)
  }

  /// Why there is nothing to audit.
  struct Refusal: ClassifiedError, CustomStringConvertible {
    let problems: [String]

    var kind: FailureKind { .input }
    var description: String { problems.joined(separator: "; ") }
  }

  /// Returns the setting that drops the rows of a finding.
  ///
  /// - Parameter folder: where lists were written; nil: none were
  func remedy(_ finding: AuditFinding, folder: String?) -> String? {
    guard finding.count > 0 else { return nil }
    if let setting = finding.kind.setting { return setting }
    guard finding.kind.hasList else { return nil }
    guard let folder else { return "ingest.drop, with the list that --out DIR writes" }
    return "ingest.drop=\(Self.listPath(finding.kind, folder))"
  }

  static func listPath(_ kind: AuditKind, _ folder: String) -> String {
    "\(folder)/drop-\(kind.rawValue).txt"
  }

  private static let pageName = "index.html"

  /// Rejects a folder with contents that no audit wrote.
  public static func requireOwnFolder(_ folder: String) throws {
    guard PathKind(of: folder) != nil else { return }
    let own = Set([pageName] + AuditKind.allCases.map { listPath($0, "").dropFirst().description })
    guard
      let foreign = try Folders.names(in: folder).sorted().first(where: { name in
        !own.contains(name) && !own.contains { EditableText.isKept(name, of: $0) }
      })
    else { return }
    throw FileError.unusableOutput(
      path: folder, reason: "it contains \(foreign), which no audit wrote; choose a new folder")
  }

  /// Writes the page, and a list of rows for each droppable kind of finding.
  ///
  /// - Returns: the new paths of files that were edited since an audit wrote them
  @discardableResult
  public func write(to folder: String) throws -> [String] {
    try Self.requireOwnFolder(folder)
    try Folders.make(folder)
    var kept: [String?] = []
    for finding in findings where finding.kind.hasList {
      let header =
        "# \(finding.kind.title): \(Spelled.count(finding.count, of: "rows")) for ingest.drop"
      let text = ([header] + finding.locations).joined(separator: "\n") + "\n"
      kept.append(
        try EditableText(text, comment: .hash).write(to: Self.listPath(finding.kind, folder)))
    }
    let page = try AuditPage(audit: self, folder: folder).report().html
    kept.append(
      try EditableText(page, comment: .markup).write(to: "\(folder)/\(Self.pageName)"))
    return kept.compactMap { $0 }
  }
}

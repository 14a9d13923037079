import Diffusion
public import Files
import HostResources
import Imaging
public import PipelineCore
import Reporting
import Scorers

/// Generates images with one or two models from the same noise, scores them and compares the
/// models.
///
/// Existing images and scores are kept, so an interrupted evaluation resumes, and a whole one uses
/// the results of parts. In `folder`:
///
///     images/DIGEST/PROMPT/IMAGE.png     by one model at one guidance
///     scores/DIGEST/IMAGES/PROMPT.json     by one scorer, of one such folder
///     evaluation.json  index.html            what came of it
///     state/digests.json                     of the files of models and scorers
public struct Evaluation {
  /// The progress of a part of the work.
  public struct Progress {
    public let activity: String
    public let done: Int
    public let total: Int
    public let unit: String
  }

  let request: EvaluationRequest
  private let report: (Progress) -> Void
  private let keep: (String) -> Void

  /// - Parameters:
  ///   - report: called after every image or prompt
  ///   - keep: called with the new path of a page that the user has edited
  public init(
    _ request: EvaluationRequest, report: @escaping (Progress) -> Void = { _ in },
    keep: @escaping (String) -> Void = { _ in }
  ) {
    self.request = request
    self.report = report
    self.keep = keep
  }

  /// - Parameter merges: only merges the results of parts
  /// - Throws: `EvaluationError`; `Interruption` if a signal asks to stop, after the current image
  ///   or prompt
  public func run(merges: Bool = false) throws -> EvaluationResult {
    try withScores(of: nil, merges: merges) { sets, scores in
      let result = EvaluationResult(request, sets: sets, scores: scores)
      let text = result.json.text(.pretty) + "\n"
      try AtomicFile.replace("\(request.folder)/evaluation.json", with: Array(text.utf8))
      let page = EditableText(
        try EvaluationPage(result: result).report().html, comment: .markup)
      if let kept = try page.write(to: "\(request.folder)/index.html") { keep(kept) }
      return result
    }
  }

  /// Generates and scores the images of one part's prompts, for ``run()`` to compare.
  ///
  /// Any number of parts may run simultaneously, on any machines that see the folder.
  ///
  /// - Returns: the number of the part's prompts
  public func run(_ partition: Partition) throws -> Int {
    try withScores(of: partition) { _, _ in request.prompts.indices(of: partition).count }
  }

  /// Generates and scores what is missing for all prompts, or for a part's.
  private func withScores<Result>(
    of partition: Partition?, merges: Bool = false,
    _ body: (_ sets: [[ImageSet]], _ scores: [[[ScoreSet]]]) throws -> Result
  ) throws -> Result {
    try ImageFolder.requireOwn(request.folder, record: "digests.json")
    let digestsPath = "\(request.folder)/state/digests.json"
    let digests = FileDigests(savedAt: digestsPath)
    let sets = try imageSets(digests)
    let scorers = try request.scorers.map { kind, path in
      (kind: kind, path: path, digest: try scorerDigest(kind, path, digests))
    }
    let prompts = request.prompts.indices(of: partition)
    if merges { try requireComplete(sets, prompts, scorers.map(\.digest)) }
    return try ImageFolder(request.folder, partition, writes: Self.writes).whileHeld {
      try digests.save(to: digestsPath)
      try requireReadable(sets, prompts)
      try generate(sets, prompts)
      return try body(
        sets, try scorers.map { try self.scores(of: sets, prompts, by: $0, merges: merges) })
    }
  }

  /// Whether an evaluation writes this path in the folder.
  static func writes(_ path: String) -> Bool {
    ["evaluation.json", "index.html", "state/digests.json"].contains(path)
      || path.wholeMatch(of: /images\/.+\/\d+\.png|scores\/.+\/\d+\.json/) != nil
  }

  /// - Throws: `EvaluationError.incomplete` if an image or its score is missing
  private func requireComplete(
    _ sets: [[ImageSet]], _ prompts: [Int], _ scorers: [String]
  ) throws {
    let all = sets.flatMap { $0 }
    let missing = prompts.filter { prompt in
      all.contains { set in
        !set.missing(of: [prompt]).isEmpty
          || scorers.contains { !Folders.exists(scorePath(set, prompt: prompt, scorer: $0)) }
      }
    }
    guard missing.isEmpty else {
      let own = Set(all.map(\.name))
      let others = try Folders.names(in: "\(request.folder)/images").filter { !own.contains($0) }
      throw EvaluationError.incomplete(
        path: request.folder, missing: missing, total: prompts.count, others: others.count)
    }
  }

  private func scorePath(_ set: ImageSet, prompt: Int, scorer: String) -> String {
    "\(request.folder)/scores/\(scorer.prefix(16))/\(set.name)/\(padded(prompt, 5)).json"
  }

  /// Opens every model and scorer once, one at a time, if there is anything to generate, so that an
  /// error in the last does not surface hours later.
  private func requireReadable(_ sets: [[ImageSet]], _ prompts: [Int]) throws {
    let sides = request.sides.indices.filter { side in
      sets.contains { !$0[side].missing(of: prompts).isEmpty }
    }
    guard !sides.isEmpty else { return }
    for side in sides { _ = try request.sides[side].open() }
    for (kind, path) in request.scorers { _ = try scorer(kind, path) }
    BufferPool.shared.releaseFreeBlocks()
  }

  private func scorer(_ kind: ScorerKind, _ path: String) throws -> Scorer {
    try Scorer(kind, path: path, tokenizer: try request.model.folder.tokenizer())
  }

  /// Returns for each guidance the model's image set, then that of its counterpart.
  private func imageSets(_ digests: FileDigests) throws -> [[ImageSet]] {
    let modelDigests = try request.sides.map { try $0.digest(digests) }
    guard Set(modelDigests).count == modelDigests.count else {
      throw EvaluationError.sameModel(request.model.text)
    }
    return request.guidance.map { guidance in
      zip(request.sides, modelDigests).map {
        ImageSet(request, $0, modelDigest: $1, guidance: guidance)
      }
    }
  }

  /// Generates the missing images model by model, with one in memory at a time.
  private func generate(_ sets: [[ImageSet]], _ prompts: [Int]) throws {
    for side in request.sides.indices {
      let missing = sets.map { $0[side] }.flatMap { set in
        set.missing(of: prompts).map { (set, $0) }
      }
      guard !missing.isEmpty else { continue }
      let total = sets.count * prompts.count * request.imagesPerPrompt
      let model = try request.sides[side].open()
      for (index, (set, place)) in missing.enumerated() {
        if let interruption = Interruption.pending { throw interruption }
        try set.generate(prompt: place.prompt, image: place.image, with: model)
        report(
          Progress(
            activity: side == 0 ? "model" : "against", done: total - missing.count + index + 1,
            total: total, unit: "images"))
      }
      // The next model needs the memory.
      BufferPool.shared.releaseFreeBlocks()
    }
  }

  /// Returns a scorer's scores of all sets; it is loaded at the first prompt without scores.
  private func scores(
    of sets: [[ImageSet]], _ prompts: [Int],
    by named: (kind: ScorerKind, path: String, digest: String), merges: Bool
  ) throws -> [[ScoreSet]] {
    var scorer: Scorer?
    var done = 0
    let total = sets.count * request.sides.count * prompts.count
    return try sets.map { sides in
      try sides.map { set in
        var found = ScoreSet()
        for prompt in prompts {
          if let interruption = Interruption.pending { throw interruption }
          let paths = (0..<request.imagesPerPrompt).map {
            set.fullPath(prompt: prompt, image: $0)
          }
          let contents = try paths.map { try RGBImage.contents(ofGeneratedAt: $0) }
          let images = contents.map { SHA256.hexDigest(of: $0) }
          let kept = scorePath(set, prompt: prompt, scorer: named.digest)
          let scores: PromptScores
          if let known = PromptScores(path: kept, of: images) {
            scores = known
          } else if merges {
            throw EvaluationError.damagedScores(path: kept)
          } else {
            let reader = try scorer ?? self.scorer(named.kind, named.path)
            scorer = reader
            scores = try PromptScores.scored(
              paths, contents: contents, digests: images,
              prompt: request.prompts.entries[prompt].text, by: reader)
            try scores.write(to: kept)
          }
          found.append(scores)
          done += 1
          report(Progress(activity: named.kind.rawValue, done: done, total: total, unit: "prompts"))
        }
        return found
      }
    }
  }

  private func scorerDigest(
    _ kind: ScorerKind, _ path: String, _ digests: FileDigests
  ) throws -> String {
    let own = try Scorer.files(path: path, kind: kind).map { try digests.digest(ofFile: $0) }
    let tokenizer = try request.model.folder.tokenizerFolder("tokenizer").path
    let shared =
      try kind.readsPrompts
      ? digests.inputs(folder: tokenizer, as: "tokenizer").map(\.identity) : []
    let content = ["scores 1", kind.rawValue] + own + shared
    return SHA256.hexDigest(of: Array(content.joined(separator: "\n").utf8))
  }
}

/// Why an evaluation cannot begin or continue.
public enum EvaluationError: ClassifiedError, Equatable, CustomStringConvertible {
  case foreignFolder(path: String, holds: String)
  case notFolder(path: String)
  case sameModel(String)
  case damagedImage(path: String, problem: String)
  /// Scores of other images than the present ones, or modified.
  case damagedScores(path: String)
  /// A damaged record of the settings that a folder's images were generated with.
  case damagedRecord(path: String, problem: String, folder: String)
  case otherImages(path: String, setting: String)
  /// `missing`: prompts, counted from 0; `others`: folders of images generated with other settings
  case incomplete(path: String, missing: [Int], total: Int, others: Int)

  public var kind: FailureKind {
    switch self {
    case .foreignFolder, .notFolder, .sameModel, .otherImages: .settings
    case .damagedImage, .damagedScores, .damagedRecord: .input
    case .incomplete: .other
    }
  }

  public var description: String {
    switch self {
    case .foreignFolder(let path, let holds):
      "\(path): contains \"\(holds)\", and was not created by an earlier run; name an empty folder"
    case .notFolder(let path): "\(path): not a folder; images of a prompt list need one"
    case .sameModel(let text):
      "\(text): would be compared with itself; give --against another model, or add a LoRA to one side"
    case .damagedImage(let path, let problem):
      "\(path): \(problem); remove it and run the same command without --merge to generate it again"
    case .damagedScores(let path):
      "\(path): does not match the existing images; find out which of the two was changed, or run "
        + "without --merge to score the existing images"
    case .damagedRecord(let path, let problem, let folder):
      "\(path): \(problem); the record of how the images were made is lost: remove \(folder), or name another folder"
    case .incomplete(let path, let missing, let total, let others):
      "\(path): \(missing.count) of \(Spelled.count(total, of: "prompts")) \(missing.count == 1 ? "is" : "are") missing: \(missing.asArray), counted from 0; run "
        + "their parts again (prompt P is in part P modulo N, plus 1, of N), or run without --merge to "
        + "compute them here"
        + (others == 0
          ? ""
          : "; images of \(others == 1 ? "another model or setting are" : "\(others) other models or settings are") "
            + "there")
    case .otherImages(let path, let setting):
      "\(path): its images were made with a different setting (\(setting)); name another folder"
    }
  }
}

public import Files

/// One restartable step of a pipeline.
///
/// A stage says what its result depends on, what is left of it and, as a ``StageWork``, what the result for
/// one item is and how it is recorded. Order, resuming, progress, staleness, timing and locking belong to
/// ``Runner``, once, for all. A training stage fits too: an item is the stretch to its next checkpoint.
///
///     stage.workPlan() -> WorkPlan: items, their units
///     plan.begin() -> StageWork: process, commit or reject each item, finish
///
/// A stage says which places of the workspace are its own and writes where `StageContext.output` says.
/// That is not where the finished result lies, which stays until ``Runner`` puts the new one in its
/// place: a stage removes nothing.
///
/// A stage is made often (`spo status` makes one to ask for its inputs), so making it must be cheap:
/// models are loaded by its work.
public protocol Stage {
  /// What a pipeline file can set: every property has a default and a doc comment.
  associatedtype Settings: StageSettings
  associatedtype Work: StageWork

  /// The verb on the command line, the key in the pipeline file and the label in the log.
  static var name: String { get }
  /// Raised when the code changes what the same settings and inputs give.
  static var version: Int { get }
  /// What progress counts, in the plural, such as `images`.
  static var unit: String { get }
  /// Settings (as spelled in files) that do not change what comes out: how long the work takes, or
  /// where files lie that are among the inputs.
  static var settingsWithoutEffect: Set<String> { get }

  /// Whether it computes with models, so that the last bits of its result are those of one device.
  static var usesDevice: Bool { get }

  /// The folders (`spo/`) and files (`catalog.sqlite`) in the workspace that are the stage's own.
  static var ownPaths: [String] { get }
  /// The paths of all files that it writes there, as ``FileNamePattern``s: what has another name
  /// is not the stage's, and what has such a name and is not recorded is refused before any work.
  static var fileNames: [String] { get }
  /// Files in the workspace that stages share and that are found by content; never replaced.
  static var caches: [String] { get }
  /// Folders that are used only while a result is made; removed when it is finished.
  static var scratch: [String] { get }
  /// What a finished result keeps only so that lost files can be made again without all the work:
  /// checkpoints. `spo gc` removes it.
  static var spare: [String] { get }
  /// Whether lost or damaged files of a finished result can be made again beside the others, since
  /// the stage asks of each whether it is there; otherwise the whole result is made anew.
  static var repairsFiles: Bool { get }
  /// Files that tell how a finished result came about, which is whole without them: where to make them
  /// again would take all the work, they stay lost.
  static var secondary: [String] { get }
  /// Endings of files whose digests are compared by whoever reads them.
  static var checkedByReaders: Set<String> { get }

  init(settings: Settings, context: StageContext) throws

  /// What the stage needs from earlier stages.
  var reads: Set<Artifact> { get }
  /// What it reads too where the pipeline has a stage that makes it.
  var readsIfMade: Set<Artifact> { get }
  /// What it makes for later ones: files, and folders of them, in the stage's paths.
  var writes: [Artifact: [String]] { get }

  /// The digest of what an artifact means, where its bytes may differ though it means the same; nil:
  /// the digest of its files' bytes. Asked of a result whose work is finished.
  ///
  /// - Throws: what is wrong with the files, if they are damaged
  func contentDigest(of artifact: Artifact) throws -> String?

  /// The files outside the workspace that the result depends on, each with what identifies its
  /// content: when one changes, the stage is stale.
  func inputs() throws -> [StageInput]

  /// The paths of what the finished result was made from and stands for, because it is gone: a new one cannot
  /// be made.
  func goneInputs() throws -> [String]

  /// What a finished run needs besides its own files and has lost, in words, or nil.
  func missingOutput() throws -> String?

  /// Settings that an earlier version of the program did not have, with the values that stand for what it
  /// did: its results stay up to date.
  func earlierSettings() throws -> [String: JSON]

  /// Brings files of a result of the first version into today's form, where what they mean stays.
  func takeOverEarlierResult() throws

  /// Whether lost files of a finished result can be made again from what else is there.
  func remakesFilesAtOnce() throws -> Bool

  /// Finds out what is left to do.
  func workPlan() throws -> WorkPlan<Work>

  /// Lines for the end of a run, also of one that found nothing to do: figures, paths of outputs.
  func results() throws -> [String]

  /// What is wrong with a finished result beyond its files' digests, each in a line: counts,
  /// references, contents.
  func findings() throws -> [String]

  /// What is wrong with what a finished result keeps only in ``spare``, each in a line.
  func spareFindings() throws -> [String]

  /// What a finished stage has left in the shared caches and no finished result needs.
  func garbage() throws -> [Garbage]
}

/// A stage's block in a pipeline file: `init()` gives the defaults, each declared with ``Setting``.
public protocol StageSettings: Codable, Sendable {
  init()

  /// Refuses settings that are in range but do not fit each other.
  func check() throws(SettingConflict)
}

extension StageSettings {
  public func check() throws(SettingConflict) {}
}

/// A setting that does not fit the others.
public struct SettingConflict: Error {
  /// As it is spelled in a pipeline file.
  let name: String
  let reason: String

  /// - Parameter reason: follows the name in a message: "must be below steps (10), but is 12"
  public init(_ name: String, _ reason: String) {
    self.name = name
    self.reason = reason
  }
}

extension Stage {
  public static var unit: String { "items" }
  public static var settingsWithoutEffect: Set<String> { [] }
  public static var usesDevice: Bool { false }
  public static var ownPaths: [String] { ["\(name)/"] }
  public static var fileNames: [String] { ownPaths.filter { !$0.hasSuffix("/") } }
  public static var caches: [String] { [] }
  public static var scratch: [String] { [] }
  public static var spare: [String] { [] }
  public static var repairsFiles: Bool { false }
  public static var secondary: [String] { [] }
  public static var checkedByReaders: Set<String> { [] }
  public var readsIfMade: Set<Artifact> { [] }
  public func contentDigest(of artifact: Artifact) throws -> String? { nil }
  public func inputs() throws -> [StageInput] { [] }
  public func goneInputs() throws -> [String] { [] }
  public func missingOutput() throws -> String? { nil }
  public func earlierSettings() throws -> [String: JSON] { [:] }
  public func takeOverEarlierResult() throws {}
  public func remakesFilesAtOnce() throws -> Bool { true }
  public func results() throws -> [String] { [] }
  public func findings() throws -> [String] { [] }
  public func spareFindings() throws -> [String] { [] }
  public func garbage() throws -> [Garbage] { [] }
}

/// Something that one stage makes and others need, such as `latents`.
public struct Artifact: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let name: String
  public init(_ name: String) { self.name = name }
  public init(stringLiteral name: String) { self.init(name) }
  public var description: String { name }
}

/// A file that a stage reads from outside the workspace.
public struct StageInput: Equatable, Sendable {
  /// What the file is to the stage, such as `model/vae/config.json`.
  public let name: String
  /// Where it lies, as it is spelled in the settings.
  public let path: String
  /// Changes when the content does, such as a digest.
  public let identity: String

  /// - Parameter path: nil where it is the name
  public init(name: String, path: String? = nil, identity: String) {
    self.name = name
    self.path = path ?? name
    self.identity = identity
  }
}

/// Why one item cannot be used; the run continues without it.
public struct Rejection: ClassifiedError, Equatable, CustomStringConvertible {
  /// One of a few stable words, such as `unreadable-image`.
  public let code: String
  public let reason: String

  public init(_ code: String, _ reason: String) {
    self.code = code
    self.reason = reason
  }

  public var kind: FailureKind { .input }

  public var description: String { "\(code): \(reason)" }
}

/// Ends a run in which too large a part of the data is unusable: a wrong column looks like that.
///
/// One rejected item ends no run, however few there are, unless the limit is 0: a single damaged
/// image says nothing about the others.
///
/// - Parameters:
///   - limit: the largest fraction that may be rejected.
///   - example: one of the reasons, asked for where there are too many
public func checkRejections(
  stage: String, rejected: Int, of total: Int, limit: Double,
  example: @autoclosure () throws -> String? = nil
) throws {
  guard rejected > (limit > 0 ? 1 : 0), Double(rejected) > limit * Double(total) else { return }
  throw PipelineError.tooManyRejections(
    stage: stage, rejected: rejected, total: total, limit: limit, example: try example())
}

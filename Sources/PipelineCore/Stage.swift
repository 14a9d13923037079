public import Files

/// One restartable step of a pipeline.
///
/// A stage declares what its result depends on, what work remains and, as a ``StageWork``, how the
/// result for one item is computed and recorded. Order, resuming, progress, staleness, timing and
/// locking belong to ``Runner``, once, for all. A training stage fits too: an item is the interval
/// to its next checkpoint.
///
///     stage.workPlan() -> WorkPlan: items, their units
///     plan.begin() -> StageWork: process, commit or reject each item, finish
///
/// A stage declares which paths of the workspace are its own and writes where `StageContext.output`
/// says. That is not the location of the finished result, which stays until ``Runner`` replaces it:
/// a stage removes nothing.
///
/// A stage is instantiated often (`spo status` does so to ask for its inputs), so this must be
/// cheap: models are loaded by its work.
public protocol Stage {
  /// The settings in a pipeline file: every property has a default and a doc comment.
  associatedtype Settings: StageSettings
  associatedtype Work: StageWork

  /// The verb on the command line, the key in the pipeline file and the label in the log.
  static var name: String { get }
  /// Incremented when the code changes what the same settings and inputs produce.
  static var version: Int { get }
  /// The unit of progress, in the plural, such as `images`.
  static var unit: String { get }
  /// Settings (as spelled in files) that do not change the result: how long the work takes, or
  /// where files lie that are among the inputs.
  static var settingsWithoutEffect: Set<String> { get }

  /// Whether it computes with models, so that the last bits of its result depend on the device.
  static var usesDevice: Bool { get }

  /// The folders (`spo/`) and files (`catalog.sqlite`) in the workspace that are the stage's own.
  static var ownPaths: [String] { get }
  /// The paths of all files that it writes there, as ``FileNamePattern``s: a file with another name
  /// is not the stage's, and an unrecorded file with such a name is rejected before any work.
  static var fileNames: [String] { get }
  /// Workspace files that stages share and whose entries are found by content; never replaced.
  static var caches: [String] { get }
  /// Folders used only while a result is built; removed when it is finished.
  static var scratch: [String] { get }
  /// Files of a finished result kept only so that lost files can be rebuilt without all the work:
  /// checkpoints. `spo gc` removes them.
  static var spare: [String] { get }
  /// Whether lost or damaged files of a finished result can be rebuilt individually, since the
  /// stage checks whether each exists; otherwise the whole result is rebuilt.
  static var repairsFiles: Bool { get }
  /// Files that document how a finished result came about, which is complete without them: if
  /// rebuilding them would take all the work, they stay lost.
  static var secondary: [String] { get }
  /// Extensions of files whose readers verify the digests.
  static var checkedByReaders: Set<String> { get }

  init(settings: Settings, context: StageContext) throws

  /// The artifacts that the stage needs from earlier stages.
  var reads: Set<Artifact> { get }
  /// Additional artifacts that it reads if the pipeline has a stage that makes them.
  var readsIfMade: Set<Artifact> { get }
  /// The artifacts it makes for later stages: files, and folders of them, in the stage's paths.
  var writes: [Artifact: [String]] { get }

  /// Returns the digest of an artifact's meaning, if its bytes may differ without changing it; nil:
  /// the digest of its files' bytes. Called once the result's work is finished.
  ///
  /// - Throws: a description of the damage, if the files are damaged
  func contentDigest(of artifact: Artifact) throws -> String?

  /// Returns the files outside the workspace that the result depends on, each with a content
  /// identity: when one changes, the stage is stale.
  func inputs() throws -> [StageInput]

  /// Returns the paths of inputs that the finished result replaced, because they are gone: a new
  /// one cannot be made.
  func goneInputs() throws -> [String]

  /// Describes what a finished run needs besides its own files and has lost, or returns nil.
  func missingOutput() throws -> String?

  /// Returns the files that a new result takes over from an earlier one where nothing has changed that they depend
  /// on; the work finds them in place.
  func lastingFiles() throws -> [LastingFiles]

  /// Returns settings that an earlier version of the program lacked, with the values equivalent to
  /// its behaviour, so that its results stay up to date.
  func earlierSettings() throws -> [String: JSON]

  /// Migrates files of a first-version result to the current format if their meaning is unchanged.
  func takeOverEarlierResult() throws

  /// Whether lost files of a finished result can be rebuilt from those that remain.
  func remakesFilesAtOnce() throws -> Bool

  /// Determines the work that remains.
  func workPlan() throws -> WorkPlan<Work>

  /// Returns lines for the end of a run, even one that found nothing to do: figures, output paths.
  func results() throws -> [String]

  /// Describes what is wrong with a finished result beyond its files' digests, one line each:
  /// counts, references, contents.
  func findings() throws -> [String]

  /// Describes what is wrong with the files in ``spare`` of a finished result, one line each.
  func spareFindings() throws -> [String]

  /// Returns entries of the shared caches that a finished stage has left and no finished result
  /// needs.
  func garbage() throws -> [Garbage]
}

/// A stage's block in a pipeline file: `init()` gives the defaults, each declared with ``Setting``.
public protocol StageSettings: Codable, Sendable {
  init()

  /// Rejects settings that are in range but incompatible.
  func check() throws(SettingConflict)
}

extension StageSettings {
  public func check() throws(SettingConflict) {}
}

/// A setting that is incompatible with the others.
public struct SettingConflict: Error {
  /// Its spelling in a pipeline file.
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
  public func lastingFiles() throws -> [LastingFiles] { [] }
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
  /// The file's role in the stage, such as `model/vae/config.json`.
  public let name: String
  /// Its path, as spelled in the settings.
  public let path: String
  /// An identity that changes with the content, such as a digest.
  public let identity: String

  /// - Parameter path: nil if it equals the name
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

/// Ends a run in which too large a fraction of the data is unusable, which suggests a wrong column.
///
/// A single rejected item never ends a run, unless the limit is 0: one damaged image says nothing
/// about the others.
///
/// - Parameters:
///   - limit: the largest fraction that may be rejected.
///   - example: one of the reasons, evaluated if there are too many
public func checkRejections(
  stage: String, rejected: Int, of total: Int, limit: Double,
  example: @autoclosure () throws -> String? = nil
) throws {
  guard rejected > (limit > 0 ? 1 : 0), Double(rejected) > limit * Double(total) else { return }
  throw PipelineError.tooManyRejections(
    stage: stage, rejected: rejected, total: total, limit: limit, example: try example())
}

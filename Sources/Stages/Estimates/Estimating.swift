import PipelineCore

/// A stage that can tell what it will take before it runs.
///
/// Numbers are about right, not exact: memory is counted from shapes, time from the work there is and
/// the speed of this machine. They are for the whole stage, as if nothing of it were done.
protocol Estimating: Stage {
  /// Files and folders that the settings name, from outside the workspace.
  var sources: [NamedSource] { get }

  /// What is in memory at once at the worst moment.
  func memory(_ scale: PipelineScale) throws -> MemoryNeed

  /// Bytes that the stage adds to the workspace, at most at one time.
  func diskByteCount(_ scale: PipelineScale) throws -> Int

  func seconds(_ scale: PipelineScale, _ speed: MachineSpeed) throws -> Double

  /// Settings that need less memory, as `--set` takes them, the cheapest first.
  var savings: [String] { get }
}

extension Estimating {
  var sources: [NamedSource] { [] }
  var savings: [String] { [] }
}

/// Something that a setting names.
struct NamedSource {
  /// As `--set` takes it, such as `preference.start`.
  let setting: String
  let path: String
  /// In words, such as `the folder of the model to tune`.
  let what: String
}

/// What a stage has in memory at once, by what takes it.
public struct MemoryNeed: Sendable {
  public struct Part: Equatable, Sendable {
    public let what: String
    public let byteCount: Int
  }

  public private(set) var parts: [Part] = []

  /// The program itself, its libraries and what its threads use: measured.
  private static let programByteCount = 60_000_000

  public var byteCount: Int {
    parts.reduce(Self.programByteCount) { $0 + $1.byteCount }
  }

  mutating func add(_ what: String, bytes: Int) {
    guard bytes > 0 else { return }
    parts.append(Part(what: what, byteCount: bytes))
  }

  /// Adds single-precision numbers that come and go.
  ///
  /// Blocks of memory come in steps of an eighth, and those that were given back are kept for the next
  /// one of their size, up to a limit: a quarter more, as measured at both sizes.
  mutating func add(_ what: String, passing numbers: Int) { add(what, bytes: 4 * numbers * 5 / 4) }

  /// Adds what training `count` numbers takes beside their gradients' way there: values, the two
  /// moments, the gradients summed up and those being added or limited.
  mutating func addTraining(of count: Int) {
    add("values, moments and gradients of what is trained", bytes: 5 * 4 * count)
  }
}

/// How large a pipeline's pictures and data are.
public struct PipelineScale: Sendable {
  /// Height and width of the pictures; nil: the model's own.
  var pictureSide: Int?
  /// Of the encodings of one image and of one prompt.
  var latentByteCount = 0
  var promptByteCount = 0
  /// How candidates are drawn, and what they are judged by.
  var tuning: SPOSettings?
  var preference: JudgeParts?
  var volume = DataVolume()
}

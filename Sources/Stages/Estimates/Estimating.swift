import Diffusion
import PipelineCore
import TensorCore

/// A stage that can tell what it will take before it runs.
///
/// Numbers are about right, not exact: memory is counted from shapes, time from what there is to do and
/// how long the layers take on this machine. They are for the whole stage, as if nothing of it were done.
protocol Estimating: Stage {
  /// Files and folders that the settings name, from outside the workspace.
  var sources: [NamedSource] { get }

  /// What is in memory at once at the worst moment.
  func memory(_ scale: PipelineScale) throws -> MemoryNeed

  /// Bytes that the stage adds to the workspace, at most at one time.
  func diskByteCount(_ scale: PipelineScale) throws -> Int

  func seconds(_ scale: PipelineScale, _ times: ModelTimes) throws -> Double

  /// Settings that need less memory, as `--set` takes them, the cheapest first.
  var savings: [String] { get }

  /// Settings that write less, in the same way.
  var diskSavings: [String] { get }
}

extension Estimating {
  var sources: [NamedSource] { [] }
  var savings: [String] { [] }
  var diskSavings: [String] { [] }
}

/// Something that a setting names.
struct NamedSource {
  /// As `--set` takes it, such as `preference.start`.
  let setting: String
  let path: String
  /// In words, such as `the folder of the model to tune`.
  let what: String
  /// What `--set` takes instead of `SETTING=PATH`.
  var override: String? = nil
}

/// What a stage has in memory at once, by what takes it.
public struct MemoryNeed: Sendable {
  public struct Part: Equatable, Sendable {
    public let what: String
    public let byteCount: Int
  }

  public private(set) var parts: [Part] = []

  /// The program itself and its libraries: measured.
  private static let programByteCount = 26_000_000

  public var byteCount: Int {
    parts.reduce(Self.programByteCount) { $0 + $1.byteCount }
  }

  mutating func add(_ what: String, bytes: Int) {
    guard bytes > 0 else { return }
    parts.append(Part(what: what, byteCount: bytes))
  }

  /// Adds the numbers of the passes through networks of which one runs at a time.
  mutating func add(_ passes: [Pass]) {
    let most = passes.reduce(0) { max($0, $1.kept + $1.working) }
    // Blocks come in sizes an eighth apart.
    add("passes", bytes: 4 * most * 9 / 8)
    // Blocks that were given back wait for the next of their size or somewhat less, up to a limit: measured,
    // each pass leaves about what works at once.
    let left = 4 * passes.reduce(0) { $0 + $1.working }
    add("memory to be used again", bytes: min(BufferPool.freeByteLimit, left))
    addKernels()
  }

  /// Adds what matrix products copy parts of their factors into.
  mutating func addKernels() { add("copies of factors", bytes: 4_000_000 * Threads.count) }

  /// Adds the pages that a connection to a database of a size keeps.
  mutating func addPages(of byteCount: Int) {
    add("pages of the database", bytes: min(131_072 * 1_024, byteCount))
  }

  /// Numbers in memory during a pass.
  struct Pass {
    /// Until its end.
    var kept = 0
    /// Most of the others at one time.
    var working: Int
  }

  /// Adds what training `count` numbers takes beside their gradients' way there: values, gradients and,
  /// unless a file holds them, the two moments.
  mutating func addTraining(of count: Int, momentsAreOnDisk: Bool = false) {
    add("values and gradients of what is trained", bytes: 2 * 4 * count)
    add("moments of what is trained", bytes: momentsAreOnDisk ? 0 : 2 * 4 * count)
  }
}

/// How large a pipeline's pictures and data are.
public struct PipelineScale {
  /// Height and width of the pictures; nil: the model's own.
  var pictureSide: Int?
  /// Of the encodings of one image and of one prompt.
  var latentByteCount = 0
  var promptByteCount = 0
  /// How candidates are drawn, and what they are judged by.
  var tuning: SPOSettings?
  var preference: JudgeParts?
  /// Of the preference model's weights when candidates are judged.
  var preferencePrecision = WeightPrecision.f32
  var volume = DataVolume()
}

import Files
public import Ranks

/// A stage that all ranks of a run work on.
///
/// Rank 0 runs it like a single process, and writes; all ranks perform the steps passed to
/// ``StageContext/lead(_:save:body:)``. Other stages run on rank 0 alone, while the others wait.
public protocol RankedStage: Stage {
  /// Takes part in the steps of rank 0, by ``StageContext/follow(digest:_:)``, and writes nothing.
  func follow() throws
}

// MARK: - Steps

extension StageContext {
  /// A message from rank 0 instead of a step number.
  private enum Call {
    static let end = -1
    static let compare = -2
  }

  /// Performs a step on all ranks, and ends the run after it if one of them was asked to stop.
  ///
  /// A single process ends where the stage checks.
  ///
  /// - Parameters:
  ///   - save: makes the progress so far durable, with what `body` has returned
  ///   - body: this rank's part
  public func lead<Result>(
    _ step: Int, save: (Result) throws -> Void, body: () throws -> Result
  ) throws -> Result {
    guard !ranks.isAlone else {
      try checkInterruption()
      return try body()
    }
    _ = try ranks.broadcast(step)
    let result = try body()
    guard let interruption = try agreedInterruption() else { return result }
    try save(result)
    throw interruption
  }

  /// Performs the steps of rank 0, on another rank, until there are no more.
  ///
  /// - Parameter digest: the digest of what must be the same on all ranks
  public func follow(digest: () throws -> [UInt8], _ body: (Int) throws -> Void) throws {
    while true {
      switch try ranks.broadcast(0) {
      case Call.end: return
      case Call.compare: _ = try ranks.gather(try digest())
      case let step:
        try body(step)
        _ = try agreedInterruption()
      }
    }
  }

  /// Verifies, on rank 0, that the others have the same state.
  ///
  /// - Throws: `RanksError.apart`
  public func compareRanks(digest: () throws -> [UInt8]) throws {
    guard ranks.isBusy else { return }
    _ = try ranks.broadcast(Call.compare)
    let all = try ranks.gather(try digest())
    if let other = all.firstIndex(where: { $0 != all[0] }) { throw RanksError.apart(rank: other) }
  }

  private func agreedInterruption() throws -> Interruption? {
    let signal = try ranks.maximum(Int(Interruption.pending?.signal ?? 0))
    return signal == 0 ? nil : Interruption(signal: Int32(signal))
  }

  /// Calls the other ranks to a stage that is about to run.
  ///
  /// - Parameter device: the device that computes here
  func call(_ configured: ConfiguredStage, on device: String?) throws {
    guard !ranks.isAlone, configured.type is any RankedStage.Type else { return }
    ranks.isBusy = true
    try RankCall.stage(
      RankCall.Stage(
        name: configured.name, settings: configured.settings.text(.compact),
        isBuilding: isBuilding, device: device)
    ).send(by: ranks)
  }

  /// Tells the other ranks that there are no more steps.
  func dismiss() throws {
    guard ranks.isBusy else { return }
    _ = try ranks.broadcast(Call.end)
    ranks.isBusy = false
  }
}

// MARK: - Stages

/// A request from rank 0 to the others.
public enum RankCall: Equatable, Sendable {
  /// Take part in a stage.
  case stage(Stage)
  /// Exit, as rank 0 does.
  case end(exitCode: Int32)

  public struct Stage: Equatable, Sendable {
    let name: String
    /// The settings on rank 0.
    let settings: String
    let isBuilding: Bool
    /// The device on rank 0; nil: the stage uses none.
    let device: String?

    package init(name: String, settings: String, isBuilding: Bool, device: String? = nil) {
      self.name = name
      self.settings = settings
      self.isBuilding = isBuilding
      self.device = device
    }
  }

  public func send(by ranks: Communicator) throws { _ = try ranks.broadcast(bytes) }

  /// Waits for a call from rank 0, which may take hours.
  ///
  /// - Throws: ``Interruption`` if this process was asked to stop, and rank 0 continues
  public static func next(from ranks: Communicator) throws -> RankCall {
    // Rank 0, most likely asked to stop as well, needs time to save its progress.
    let grace = Duration.seconds(10)
    var asked: ContinuousClock.Instant?
    let bytes = try ranks.broadcast([]) {
      guard let interruption = Interruption.pending else { return }
      let start = asked ?? .now
      asked = start
      if ContinuousClock.now - start > grace { throw interruption }
    }
    return try RankCall(bytes)
  }

  private var bytes: [UInt8] {
    let json: JSON =
      switch self {
      case .stage(let stage):
        [
          "stage": .string(stage.name), "settings": .string(stage.settings),
          "building": .bool(stage.isBuilding), "device": stage.device.map { .string($0) } ?? .null,
        ]
      case .end(let exitCode): ["exit": .integer(Int(exitCode))]
      }
    return Array(json.text(.compact).utf8)
  }

  private init(_ bytes: [UInt8]) throws {
    let reader = JSONReader(
      try JSON(parsing: String(decoding: bytes, as: UTF8.self)), path: "rank 0")
    if let exitCode = try reader.optional("exit") {
      self = .end(exitCode: Int32(try exitCode.int()))
    } else {
      self = .stage(
        Stage(
          name: try reader.string("stage"), settings: try reader.string("settings"),
          isBuilding: try reader.bool("building"),
          device: try reader.optional("device")?.string()))
    }
  }
}

extension Runner {
  /// Takes part, on a rank other than 0, in a stage that rank 0 runs.
  ///
  /// - Throws: `RanksError.otherPipeline` if its settings differ from those here
  public func follow(_ call: RankCall.Stage) throws {
    guard let configured = pipeline.stages.first(where: { $0.name == call.name }),
      configured.settings.text(.compact) == call.settings
    else {
      throw RanksError.otherPipeline(rank: ranks.rank, host: SharedLock.host, stage: call.name)
    }
    // With the same code as rank 0, if possible.
    _ = try device.turn(to: call.device, mayChange: false)
    var context = StageContext(
      configured, in: workspace, FileDigests(), isBuilding: call.isBuilding)
    context.ranks = ranks
    ranks.isBusy = true
    defer { ranks.isBusy = false }
    try (configured.make(context) as? any RankedStage)?.follow()
  }
}

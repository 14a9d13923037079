import Files
import PipelineCore
import Ranks
import Synchronization
import TestSupport
import Testing

@Suite struct RankCallTests {
  @Test("the others get what rank 0 calls for")
  func calls() throws {
    let calls: [RankCall] = [
      .stage(
        RankCall.Stage(
          name: "spo", settings: #"{"beta": "\u00e9"}"#, isBuilding: true, device: "cuda \u{e9}")),
      .end(exitCode: 143),
    ]
    let all = try ThreadRanks.run(3) { ranks in
      try calls.map { call in
        if ranks.isFirst { try call.send(by: ranks) }
        return ranks.isFirst ? call : try RankCall.next(from: ranks)
      }
    }
    #expect(all.allSatisfy { $0 == calls })
  }

  /// Runs the toy stage on three ranks; returns the steps of each.
  private func run(
    in folder: String,
    on device: @escaping @Sendable (Int) -> RunDevice = { _ in RunDevice("cpu") },
    _ overrides: @escaping @Sendable (Int) -> [String]
  ) throws -> [String] {
    let path = "\(folder)/pipeline.json5"
    try AtomicFile.replace(
      path, with: Array("{ workspace: '\(folder)/run', stages: { stepping: {} } }".utf8))
    return try ThreadRanks.run(3) { ranks in
      let pipeline = try Pipeline(
        path: path, stages: [Stepping.self], overrides: overrides(ranks.rank))
      let runner = Runner(pipeline, device: device(ranks.rank), ranks: ranks) { _ in }
      if ranks.isFirst {
        try runner.run()
        try RankCall.end(exitCode: 0).send(by: ranks)
      } else {
        while case .stage(let stage) = try RankCall.next(from: ranks) {
          try runner.follow(stage)
        }
      }
      #expect(!ranks.isBusy)
      let text = try RegularFile(path: "\(folder)/run/stepping/steps").readAll()
      return String(decoding: text, as: UTF8.self)
    }
  }

  @Test("all ranks do all steps, and rank 0 writes")
  func steps() throws {
    try withTemporaryFolder { folder in
      let all = try run(in: folder) { _ in [] }
      #expect(all == [String](repeating: "0: 3, 1: 3, 2: 3", count: 3))
    }
  }

  @Test("ranks compute as rank 0 does, as far as they can")
  func devices() throws {
    try withTemporaryFolder { folder throws in
      let turns = Mutex<[Int: String]>([:])
      @Sendable func device(_ rank: Int) -> RunDevice {
        RunDevice(
          rank == 0 ? "one" : "another", canContinue: { rank == 1 && $0 == "one" },
          turn: { identity in turns.withLock { $0[rank] = identity } })
      }
      _ = try run(in: folder, on: device) { _ in [] }
      #expect(turns.withLock { $0 } == [0: "one", 1: "one", 2: "another"])
    }
  }

  @Test("a rank whose weights are others, or who reads other settings, is named")
  func refusals() throws {
    _ = try withTemporaryFolder { folder in
      #expect(throws: RanksError.apart(rank: 2)) {
        _ = try run(in: folder) { _ in ["stepping.apart=2"] }
      }
    }
    try withTemporaryFolder { folder in
      let error = #expect(throws: RanksError.self) {
        _ = try run(in: folder) { $0 == 1 ? ["stepping.steps=4"] : [] }
      }
      #expect("\(String(describing: error))".contains("rank 1 on"))
      #expect("\(String(describing: error))".contains("different settings of stage stepping"))
    }
  }
}

/// Adds what ranks give, step after step.
private struct Stepping: RankedStage {
  struct Settings: StageSettings {
    @Setting("Steps to do.", in: 1...10) var steps = 3
    @Setting("The rank that has other weights than the rest.", in: -1...9) var apart = -1
  }

  static let name = "stepping"
  static let version = 1
  static let usesDevice = true
  static let fileNames = ["stepping/steps"]
  let reads: Set<Artifact> = []
  let writes: [Artifact: [String]] = ["steps": ["stepping/steps"]]
  let settings: Settings
  let context: StageContext

  func workPlan() throws -> WorkPlan<SteppingWork> {
    WorkPlan([settings.steps]) { SteppingWork(self) }
  }

  func follow() throws { try SteppingWork(self).follow() }
}

private final class SteppingWork: StageWork {
  private let context: StageContext
  private let apart: Int
  /// The number of steps that each rank has done.
  private var counts: [Int: Int] = [:]

  init(_ stage: Stepping) { (context, apart) = (stage.context, stage.settings.apart) }

  func process(_ item: Int) throws -> Int {
    for step in 0..<item { try context.lead(step, save: { _ in }, body: { try work(step) }) }
    return item
  }

  func follow() throws { try context.follow(digest: digest, work) }

  private func work(_ step: Int) throws {
    let all = try context.ranks.divided(
      context.ranks.count, write: { [UInt8($0)] }, read: { Int($0[0]) }, compute: { $0 })
    for rank in all { counts[rank, default: 0] += 1 }
  }

  private func digest() -> [UInt8] { [context.ranks.rank == apart ? 1 : 0] }

  func commit(_ output: Int, of item: Int) throws {
    try context.compareRanks(digest: digest)
  }

  func finish() throws -> WorkSummary {
    let text = counts.sorted { $0.key < $1.key }.map { "\($0): \($1)" }.joined(separator: ", ")
    try AtomicFile.replace(context.output("stepping/steps"), with: Array(text.utf8))
    return WorkSummary()
  }
}

import Devices
import Files
import HostResources
import PipelineCore
import Ranks
import StageSupport
import Stages

/// A command that several processes run together: rank 0 leads, the others follow its calls.
struct RankedProgram {
  let launched: LaunchedRanks
  private var ranks: Communicator { launched.ranks }

  /// Ends a rank other than 0 silently, as rank 0 ends.
  struct End: Error {
    let exitCode: Int32
  }

  /// - Throws: `RanksError` if a launcher has started several processes that cannot work together
  init(environment: [String: String]) throws {
    launched = try LaunchedRanks(environment: environment) {
      LaunchedRanks.Introduction(
        host: SharedLock.host,
        program: try SHA256.digest(of: RegularFile(path: "/proc/self/exe")).hexadecimal,
        processor: Machine.processor, affinity: Machine.allowedProcessors,
        devices: DeviceSelection.visible(in: environment))
    }
  }

  /// Creates a single process, even if a launcher has started others.
  init(aloneIn environment: [String: String]) {
    launched = LaunchedRanks(aloneIn: environment)
  }

  /// - Parameters:
  ///   - lead: the work of rank 0
  ///   - follow: the work of the others for a stage that rank 0 calls
  func run(
    isQuiet: Bool, lead: () throws -> Void,
    follow: (RankCall.Stage) throws -> Void
  ) throws {
    guard !ranks.isAlone else { return try lead() }
    Interruption.handleSignals()
    do {
      // Ranks on the same processors share them.
      try Threads.with(count: Threads.count / launched.sharing) {
        if ranks.isFirst {
          if !isQuiet { introduce() }
          try lead()
        } else {
          try self.follow(follow)
        }
      }
    } catch let end as End {
      throw end
    } catch {
      // Reported before the others end, since a launcher may then kill this process.
      let exitCode = Program.report(error, by: ranks.isFirst ? "" : "rank \(ranks.rank): ")
      // Ranks waiting for this one would wait forever.
      if !ranks.isFirst || ranks.isBusy { ranks.abort(exitCode: exitCode) }
      try dismiss(exitCode: exitCode)
      throw End(exitCode: exitCode)
    }
    if ranks.isFirst { try dismiss(exitCode: 0) }
  }

  private func introduce() {
    guard let summary = launched.summary else { return }
    Console.note("\(summary): all ranks train together; rank 0 does the rest")
    if !launched.processors.isEmpty {
      Console.note(
        "note: the last bits of results may depend on the number of ranks, which run on "
          + launched.processors.joined(separator: " and "))
    }
  }

  private func dismiss(exitCode: Int32) throws {
    try RankCall.end(exitCode: exitCode).send(by: ranks)
    ranks.finish()
  }

  private func follow(
    _ body: (RankCall.Stage) throws -> Void
  ) throws {
    while true {
      switch try RankCall.next(from: ranks) {
      case .stage(let stage): try body(stage)
      case .end(let exitCode):
        ranks.finish()
        throw End(exitCode: exitCode)
      }
    }
  }
}

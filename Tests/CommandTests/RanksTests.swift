import Files
import Foundation
import TestSupport
import Testing

/// Training over the ranks of an MPI launcher, with those that are installed.
@Suite(.serialized) struct RanksTests {
  /// A launcher of several processes.
  struct Launcher: CustomTestStringConvertible {
    let path: String
    let options: [String]
    /// Its own library, and the variable in which it says the rank.
    let library: String
    let variable: String

    func command(_ count: Int) -> [String] { [path] + options + ["-n", "\(count)"] }
    var testDescription: String { path }

    static let openMPI = Launcher(
      path: "/usr/bin/mpirun.openmpi", options: ["--oversubscribe"], library: "libmpi.so.40",
      variable: "OMPI_COMM_WORLD_RANK")
    static let mpich = Launcher(
      path: "/usr/bin/mpirun.mpich", options: [], library: "libmpich.so.12", variable: "PMI_RANK")
    static let installed = [openMPI, mpich].filter {
      FileManager.default.isExecutableFile(atPath: $0.path)
    }
  }

  /// Open MPI wants to be told that root means it.
  private static let environment = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
  ]
  private static let lora = "spo/pytorch_lora_weights.safetensors"
  private static let model = "preference/model/model.safetensors"
  /// Long enough to be stopped on the way.
  private static let long = ["--set", "spo.iterations=14", "--set", "spo.checkpoint_every=3"]

  private static func start(
    _ launcher: [String], _ run: SmallRun, _ arguments: [String], through stage: String = "spo",
    environment: [String: String] = [:]
  ) throws -> Program {
    try Program(
      ["run", SmallRun.pipeline, "--workspace", run.workspace, "--through", stage] + arguments,
      emulator: launcher, environment: Self.environment.merging(environment) { $1 })
  }

  /// A launcher that is not installed is named once.
  private static func ifInstalled(_ body: (Launcher) throws -> Void) throws {
    if Launcher.installed.isEmpty {
      print("openmpi-bin and mpich are not installed: training over ranks is not tested")
    }
    for launcher in Launcher.installed { try body(launcher) }
  }

  @Test("preference model and LoRA of 1, 2 and 4 ranks are those of one process")
  func sameBytes() throws {
    try Self.ifInstalled { launcher in
      try withTemporaryFolder { folder in
        let run = try SmallRun.finished(in: folder)
        let expected = try [Self.model, Self.lora].map(run.bytes)
        for count in [1, 2, 4] {
          let options = ["--force", "preference", "--force", "spo"]
          let outcome = try Self.start(launcher.command(count), run, options).outcome()
          expectSuccess(outcome)
          #expect(try [Self.model, Self.lora].map(run.bytes) == expected, "\(launcher) \(count)")
          #expect(outcome.errors.contains("\(count) ranks on 1 machine") == (count > 1))
          #expect(outcome.errors.contains("spo: exchanges with ") == (count > 1))
          #expect(
            outcome.errors.contains("note: 4 ranks, but only 2 sample at a time") == (count == 4))
        }
      }
    }
  }

  @Test("a rank that dies ends all; another number of ranks continues to the same bytes")
  func death() throws {
    try stopping { launcher, program, workspace in
      try Self.signal(SIGKILL, rank: 1, of: launcher, in: workspace)
      let outcome = try program.outcome(within: 20)
      #expect(outcome.exitCode != 0, "\(outcome)")
    }
  }

  @Test("ranks whose launcher and neighbour die do not wait for ever")
  func launcherDeath() throws {
    try stopping { launcher, program, workspace in
      let second = try #require(Self.process(rank: 1, of: launcher, in: workspace))
      let status = try String(contentsOfFile: "/proc/\(second)/stat", encoding: .utf8)
      // After the name in brackets: state, parent.
      let parent = try #require(
        status.split(separator: ")").last?.split(separator: " ").dropFirst().first.flatMap {
          Int32($0)
        })
      kill(parent, SIGKILL)
      kill(second, SIGKILL)
      let end = Date(timeIntervalSinceNow: 40)
      while Self.process(rank: 0, of: launcher, in: workspace) != nil, Date() < end {
        usleep(50_000)
      }
      program.die()
    }
  }

  @Test("SIGTERM to one rank stops all after the same batch, with 143")
  func termination() throws {
    try stopping { launcher, program, workspace in
      try Self.signal(SIGTERM, rank: 1, of: launcher, in: workspace)
      let outcome = try program.outcome(within: 60)
      #expect(outcome.exitCode == 143, "\(outcome)")
      let names = try FileManager.default.contentsOfDirectory(
        atPath: "\(workspace)/spo/.building/checkpoints")
      #expect(names.contains { $0.hasPrefix("step-") })
    }
  }

  /// Runs stage spo on two ranks, stops it by `stop` on the way, and lets three continue.
  private func stopping(_ stop: (Launcher, Program, String) throws -> Void) throws {
    guard !Launcher.installed.isEmpty else { return }
    try withTemporaryFolder { folder in
      func finished(_ name: String) throws -> SmallRun {
        try FileManager.default.createDirectory(
          atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        return try SmallRun.finished(in: "\(folder)/\(name)")
      }
      let alone = try finished("alone")
      expectSuccess(
        try Self.start([], alone, Self.long + ["--force", "spo", "--quiet"]).outcome())
      try Self.ifInstalled { launcher in
        let run = try finished(launcher.library)
        let program = try Self.start(
          launcher.command(2), run, Self.long + ["--force", "spo", "--quiet"])
        try program.wait {
          FileManager.default.fileExists(
            atPath: run.path("spo/.building/checkpoints/step-000003"))
        }
        try stop(launcher, program, run.workspace)
        #expect(Self.process(rank: 0, of: launcher, in: run.workspace) == nil)
        #expect(try run.bytes(Self.lora) != alone.bytes(Self.lora))
        let outcome = try Self.start(launcher.command(3), run, Self.long).outcome()
        expectSuccess(outcome)
        #expect(outcome.errors.contains("spo: resuming"))
        #expect(try run.bytes(Self.lora) == alone.bytes(Self.lora))
        #expect(try run.bytes("spo/metrics.jsonl") == alone.bytes("spo/metrics.jsonl"))
      }
    }
  }

  @Test("a library that is not the launcher's, and none, are refused by name; nothing is written")
  func libraries() throws {
    try Self.ifInstalled { launcher in
      try withTemporaryFolder { folder in
        let run = SmallRun(in: folder)
        func refusal(_ library: String) throws -> Outcome {
          try Self.start(
            launcher.command(2), run, [], environment: ["SPO_MPI_LIBRARY": library]
          ).outcome(within: 30)
        }
        let none = try refusal("/nowhere/libmpi.so")
        #expect(none.exitCode == 1 && none.errors.contains("/nowhere/libmpi.so"), "\(none)")
        for other in Launcher.installed where other.library != launcher.library {
          let outcome = try refusal(other.library)
          #expect(outcome.exitCode == 1, "\(outcome)")
          #expect(outcome.errors.contains("\(other.library) ("), "\(outcome)")
          #expect(outcome.errors.contains("sees 1: it is not the launcher's library"))
        }
        #expect(!FileManager.default.fileExists(atPath: run.workspace))
      }
    }
  }

  @Test("a failure of rank 0 is told once and is the exit code of all; parts need no library")
  func failures() throws {
    try Self.ifInstalled { launcher in
      try withTemporaryFolder { folder in
        let run = SmallRun(in: folder)
        let bad = try Self.start(launcher.command(2), run, ["--set", "spo.beta=0"]).outcome()
        expect(bad, failsAs: .settings, naming: "spo.beta")
        let part = try Self.start(
          launcher.command(2), run, ["--partition", "auto/2"], through: "ingest",
          environment: ["SPO_MPI_LIBRARY": "/nowhere"]
        ).outcome()
        expectSuccess(part)
        expectSuccess(try run.run("--through", "ingest", "--merge"))
      }
    }
  }

  // MARK: - Processes

  private static func signal(
    _ signal: Int32, rank: Int, of launcher: Launcher, in workspace: String
  ) throws {
    let found = process(rank: rank, of: launcher, in: workspace)
    kill(try #require(found), signal)
  }

  /// The process of a rank that works in a workspace.
  private static func process(
    rank: Int, of launcher: Launcher, in workspace: String
  ) -> Int32? {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc")
    return (names ?? []).lazy.compactMap { Int32($0) }.first { process in
      func words(_ name: String) -> [Substring] {
        let data = FileManager.default.contents(atPath: "/proc/\(process)/\(name)") ?? Data()
        return String(decoding: data, as: UTF8.self).split(separator: "\0")
      }
      return words("cmdline").contains(Substring(workspace))
        && words("cmdline").first.map(String.init) == Program.path
        && words("environ").contains("\(launcher.variable)=\(rank)")
    }
  }
}

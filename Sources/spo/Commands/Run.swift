import CommandSyntax
import Devices
import Files
import Foundation
import HostResources
import PipelineCore
import Ranks
import Stages

/// `spo run`: brings a pipeline up to date.
enum Run: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "run", summary: "Bring a pipeline up to date, continuing where the last run stopped.",
      operands: [CommandSyntax.Operand("PIPELINE")],
      options: [
        .value("through", "STAGE", "stop after this stage"),
        .value("force", "STAGE", isRepeatable: true, "run this stage from the start"),
        .value("set", "STAGE.KEY=VALUE", isRepeatable: true, "override a setting of the pipeline"),
        .value("workspace", "DIR", "use this workspace instead of the pipeline's"),
        .value(
          "partition", "I/N",
          "process part I of N of the --through stage; auto/N: I from the job array"),
        .flag("merge", "merge the parts of the --through stage, which must be complete"),
        .value(
          "scratch", "DIR", "with --merge: build databases here, on a local disk, then move them"),
        .flag("quiet", "print only results and errors"),
      ],
      examples: [
        ("spo run pipelines/quickstart.json5", "the whole pipeline, on the bundled data"),
        ("spo run pipelines/quickstart.json5 --through shard", "only the data stages"),
        (
          "spo run pipelines/quickstart.json5 --set spo.learning_rate=3e-4 --workspace runs/slow",
          "another learning rate, in its own workspace"
        ),
        (
          "spo run pipelines/sd15.json5 --through encode --partition auto/64",
          "one job of an array; jobs can run concurrently on any machines"
        ),
        ("spo run pipelines/sd15.json5 --through encode --merge", "merge the results of the array"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let part = try part(arguments)
    // A part belongs to a single process, whoever started others with it.
    let program =
      part == nil
      ? try RankedProgram(environment: environment) : RankedProgram(aloneIn: environment)
    try program.run(isQuiet: arguments.has("quiet")) {
      try run(arguments, part, program.launched)
    } follow: { stage in
      try follow(stage, arguments, program.launched)
    }
  }

  private static func makePipeline(
    _ arguments: Arguments, _ overrides: [String]
  ) throws -> Pipeline {
    try Pipeline(
      path: arguments.operands[0], stages: stageTypes, overrides: overrides,
      workspace: arguments.value("workspace"))
  }

  /// Does the work of a rank other than 0 for a stage.
  private static func follow(
    _ stage: RankCall.Stage, _ arguments: Arguments, _ launched: LaunchedRanks
  ) throws {
    let pipeline = try makePipeline(arguments, arguments.values("set"))
    let computing = try ComputingDevice(pipeline.device, pipeline.devicePrecision, launched)
    let device = computing.runDevice(
      in: Workspace(path: pipeline.workspacePath), isReadOnly: true)
    let runner = Runner(pipeline, device: device, ranks: launched.ranks) { _ in }
    try Threads.with(count: pipeline.threads ?? Threads.count) {
      try computing.perform { try runner.follow(stage) }
    }
  }

  private static func run(
    _ arguments: Arguments, _ part: (partition: Partition, stage: String)?,
    _ launched: LaunchedRanks
  ) throws {
    let merge = arguments.has("merge") ? Runner.Merge(scratch: arguments.value("scratch")) : nil
    let pipeline = try makePipeline(arguments, arguments.values("set"))
    pipeline.sayNotes()
    try pipeline.checkFit()
    let computing = try ComputingDevice(pipeline.device, pipeline.devicePrecision, launched)
    Interruption.handleSignals()
    let console = RunConsole(isQuiet: arguments.has("quiet"))
    defer { console.closeLine() }
    let check = RunCheck(
      overrides: arguments.values("set"),
      limits: .here(pipeline.workspacePath, device: computing.planned),
      makePipeline: { try makePipeline(arguments, $0) })
    let require =
      part != nil ? check.requirePart : merge != nil ? { (_: [PlannedWork]) in } : check.require
    let runner = Runner(
      pipeline, device: computing.runDevice(in: Workspace(path: pipeline.workspacePath)),
      ranks: launched.ranks, check: require
    ) { event in
      // Memory freed by one stage is of little use to the next.
      if case .started = event {
        BufferPool.shared.releaseFreeBlocks()
        computing.backend?.releaseFreeMemory()
      }
      console.show(event)
    }
    try Threads.with(count: pipeline.threads ?? Threads.count) {
      try computing.perform {
        guard let part else {
          return try runner.run(
            through: arguments.value("through"), forced: Set(arguments.values("force")),
            merge: merge)
        }
        try runner.runPart(part.partition, of: part.stage, environment: environment)
      }
    }
    try console.finish()
  }

  private static var environment: [String: String] { ProcessInfo.processInfo.environment }

  /// Returns the requested part, and its stage.
  private static func part(
    _ arguments: Arguments
  ) throws(UsageError) -> (partition: Partition, stage: String)? {
    let (isPart, stage) = (arguments.has("partition"), arguments.value("through"))
    if arguments.has("scratch"), !arguments.has("merge") {
      throw arguments.error("--scratch needs --merge")
    }
    if let scratch = arguments.value("scratch") {
      guard !scratch.isEmpty else { throw arguments.error("--scratch is empty") }
      guard [nil, .folder].contains(PathKind(of: scratch)) else {
        throw arguments.error("--scratch: \(scratch) is not a folder")
      }
    }
    guard isPart || arguments.has("merge") else { return nil }
    let option = isPart ? "--partition" : "--merge"
    guard let stage else {
      throw arguments.error("\(option) needs --through STAGE")
    }
    guard !arguments.has("force") else {
      throw arguments.error("\(option) cannot be combined with --force")
    }
    guard !isPart || !arguments.has("merge") else {
      throw arguments.error("--partition cannot be combined with --merge")
    }
    return try arguments.partition().map { ($0, stage) }
  }
}

import CommandSyntax
import Devices
import PipelineCore
import Stages
import TensorCore

/// `spo run`: brings a pipeline up to date.
enum Run: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "run", summary: "Bring a pipeline up to date; go on where the last run ended.",
      operands: [CommandSyntax.Operand("PIPELINE")],
      options: [
        .value("through", "STAGE", "end after this stage"),
        .value("force", "STAGE", isRepeatable: true, "run this stage from its beginning"),
        .value("set", "STAGE.KEY=VALUE", isRepeatable: true, "change a setting of the file"),
        .value("workspace", "DIR", "put everything here instead of where the file says"),
        .value("partition", "I/N", "of stages that can be split, only part I of N"),
        .flag("quiet", "no progress, only results and errors"),
      ],
      examples: [
        ("spo run pipelines/quickstart.json5", "everything, on what the repository ships"),
        ("spo run pipelines/quickstart.json5 --through shard", "only the data"),
        (
          "spo run pipelines/quickstart.json5 --set spo.learning_rate=3e-4 --workspace runs/slow",
          "another learning rate, in a workspace of its own"
        ),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let partition = try arguments.pair("partition", separator: "/").map { part in
      guard let partition = Runner.Partition(index: part.first, count: part.second) else {
        throw arguments.error("--partition \(part.first)/\(part.second): I must be 1 to N")
      }
      return partition
    }
    func makePipeline(_ overrides: [String]) throws -> Pipeline {
      try Pipeline(
        path: arguments.operands[0], stages: stageTypes, overrides: overrides,
        workspace: arguments.value("workspace"))
    }
    let pipeline = try makePipeline(arguments.values("set"))
    for note in pipeline.notes { Console.note("note: \(note)") }
    try pipeline.checkFit()
    let computing = try ComputingDevice(pipeline.device)
    if let threads = pipeline.threads { Threads.count = threads }
    Interruption.handleSignals()
    let console = RunConsole(isQuiet: arguments.has("quiet"))
    defer { console.closeLine() }
    let check = RunCheck(
      overrides: arguments.values("set"), limits: .here(pipeline.workspacePath),
      makePipeline: makePipeline)
    let runner = Runner(pipeline, device: computing.identity, check: check.require) { event in
      // What one stage leaves is of little use to the next.
      if case .started = event {
        BufferPool.shared.releaseFreeBlocks()
        computing.backend?.releaseFreeMemory()
      }
      console.show(event)
    }
    try computing.perform {
      try runner.run(
        through: arguments.value("through"), forced: Set(arguments.values("force")),
        partition: partition)
    }
    try console.finish()
  }
}

import Backends
import CommandSyntax
import Diffusion
import Files
import HostResources
import PipelineCore
import StageSupport
import Stages

/// `spo bench`: measures how long parts of the program take on this machine.
enum Bench: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "bench", summary: "Measure parts of the program on this machine.",
      operands: [
        CommandSyntax.Operand("NAME", isOptional: true),
        CommandSyntax.Operand("NAME|FILE", isOptional: true, isRepeatable: true),
      ],
      options: [
        .value(
          "model", "DIR",
          "a diffusers folder (data/tiny-sd); random weights if it does not exist and its name is that of "
            + "Stable Diffusion v1.5 or XL"),
        .value("precision", "P", "f16 or bf16: round the model's large weights on loading"),
        .value("preference", "DIR", "a preference model (default: random weights)"),
        .value("preference-precision", "P", "f16 or bf16: round its large weights on loading"),
        .value("batch", "B", "images, latents or prompts per run"),
        .value(
          "size", "WxH", "size of the latents, or of the image to encode (default: the model's)"),
        .value("steps", "N", "sampling steps per iteration (20)"),
        .value("rank", "R", "rank of the LoRA (4)"),
        .value("micro-batch", "B", "pairs backpropagated at a time (10)"),
        .flag("gradient-checkpointing", "recompute the U-Net's blocks in the backward pass"),
        .value("case", "TEXT", "run only the operator sizes whose name contains this"),
        .flag("gradients", "for operators: also compute input gradients"),
        .value("repeat", "R", "timed runs, after one warm-up run (5)"),
        .value("seconds", "S", "start no further run after this time (at least two are made)"),
        .flag("cold", "time the first run too, without a warm-up run"),
        .value(
          "save", "FILE",
          "write inputs and the first run's outputs as safetensors, for others to compare"),
        ComputingDevice.option,
        ComputingDevice.precisionOption,
        .flag("unproven", "measure a device even if its results were wrong or never compared"),
        .value("threads", "T", "kernel threads (default: one per processor)"),
        .flag("profile", "also print the cost of each operation"),
        .flag("plan", "compute nothing; count the memory and operations of a run"),
        .flag("json", "print one JSON object"),
      ],
      examples: [
        ("spo bench", "a table of all benchmarks that need no files"),
        ("spo bench operators --threads 1", "kernels at the U-Net's sizes"),
        ("spo bench convolution --case 64x64 --gradients --profile", "forward and backward"),
        ("spo bench unet-lora --profile", "time spent per operation, forward and backward"),
        ("spo bench jpeg images/*.jpg --threads 1", "decoding images"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let isAlone = ["json", "profile", "plan"].contains(where: arguments.has)
    guard let name = arguments.operands.first, isAlone, BenchSubject.named(name) != nil else {
      return try printTable(arguments)
    }
    let subject = try BenchSubject(checking: arguments)
    let options = try BenchOptions(arguments)
    let threads = try arguments.int("threads", in: 1...1024) ?? Threads.count
    try Threads.with(count: threads) {
      try PublishedModel.$standIns.withValue(options.standIns) {
        guard !arguments.has("plan") else {
          let precision = try ComputingDevice.precision(arguments)
          // A device need not be here to be planned for.
          let choice = try ComputingDevice.choice(arguments)
          let isOnDevice = if case .device = choice { true } else { false }
          let target: PlanningBackend.Target =
            isOnDevice || precision != .automatic
            ? .device(activations: precision.activations) : .host
          return try Console.print(try plan(name, subject, options, for: target).text())
        }
        try measure(name, subject, options, arguments)
      }
    }
  }

  /// Returns the cost of a run of each piece of work, from its own code on a counting backend.
  private static func plan(
    _ name: String, _ subject: BenchSubject, _ options: BenchOptions,
    for target: PlanningBackend.Target
  ) throws -> JSON {
    var plan = StagePlan(on: PlanningBackend(for: target), isOfStage: false)
    let works = try plan.build { try subject.make(options) }
    for work in works { try plan.run(times: 1) { try work.run() } }
    return [
      "name": .string(name),
      "planned_memory_mb": .number(Double(plan.memory.byteCount(in: .machine)) / 1_048_576),
      "planned_device_mb": target == .host
        ? .null : .number(Double(plan.memory.byteCount(in: .device)) / 1_048_576),
      "flop": .integer(plan.units.reduce(0) { $0 + $1.profile.flop }),
      // A device that is not here has no measured rates.
      "planned_s": target == .host ? (plan.measuredSeconds().map { .number($0) } ?? .null) : .null,
    ]
  }

  private static func measure(
    _ name: String, _ subject: BenchSubject, _ options: BenchOptions, _ arguments: Arguments
  ) throws {
    let isUnproven = arguments.has("unproven")
    let computing = try ComputingDevice(arguments, isUnproven: isUnproven)
    let result = try computing.perform {
      try BenchResult(
        name: name, try subject.make(options), on: computing.backend, isUnproven: isUnproven,
        schedule: try BenchSchedule(arguments),
        profile: arguments.has("profile") ? OperationProfile() : nil,
        keepsOutputs: arguments.has("save"))
    }
    if let path = arguments.value("save") { try result.save(to: path) }
    guard !arguments.has("json") else { return try Console.print(result.json.text()) }
    try Console.print(BenchTable(BenchRow.rows(of: result.json)).text)
    if let profile = result.profileTable { try Console.print("\n\(profile)") }
  }

  private static func printTable(_ arguments: Arguments) throws {
    if arguments.has("save") {
      throw arguments.error("--save requires exactly one NAME, and --json")
    }
    if arguments.has("plan") {
      throw arguments.error("--plan requires exactly one NAME, and none that stands for several")
    }
    let rows = try BenchPlan(arguments).run()
    guard arguments.has("json") else { return try Console.print(BenchTable(rows).text) }
    try Console.print(BenchTable(rows).json.text())
  }
}

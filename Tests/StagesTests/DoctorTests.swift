import Autograd
import Backends
import Files
import Foundation
import PipelineCore
import StageSupport
import Stages
import TestSupport
import Testing

@Suite struct DoctorTests {
  private static let repository = URL(fileURLWithPath: fixturePath(""))
    .deletingLastPathComponent().deletingLastPathComponent().path

  static let paths = [
    "ingest.source=\(repository)/data/pickapic-sample/data/*.parquet",
    "model=\(repository)/data/tiny-sd", "preference.start=\(repository)/data/tiny-preference",
    "report.prompts=\(repository)/data/validation-prompts.json",
  ]

  private static func pipeline(_ overrides: [String], _ name: String) throws -> Pipeline {
    // A latent preference model starts from the diffusion model; the embedded CLIP has no weights.
    let fitting = overrides.filter {
      !name.hasSuffix("latent") || !$0.hasPrefix("preference.start=")
    }
    return try Pipeline(
      path: "\(repository)/pipelines/\(name).json5", stages: stageTypes, overrides: fitting,
      workspace: "/tmp/no-such-workspace")
  }

  func doctor(
    _ name: String = "quickstart", memory: Int = 1 << 34, freeDisk: Int = 1 << 34,
    overrides: [String] = paths, device: PlannedDevice? = nil, rates: OperationRates? = nil
  ) throws -> Doctor {
    try Doctor(
      overrides: overrides,
      limits: MachineLimits(memory: memory, freeDisk: freeDisk, device: device), rates: rates
    ) { try Self.pipeline($0, name) }
  }

  @Test("every stage of the quickstart is forecast, and nothing stands in its way")
  func forecasts() throws {
    let doctor = try doctor(rates: OperationRates())
    #expect(
      doctor.forecasts.map(\.stage) == [
        "ingest", "encode", "shard", "preference", "spo", "export", "report",
      ])
    #expect(doctor.problems.isEmpty)
    for forecast in doctor.forecasts {
      #expect(
        (20_000_000...600_000_000).contains(forecast.memory.byteCount(in: .machine)),
        "\(forecast.stage)")
      #expect(forecast.diskByteCount > 0 && forecast.seconds ?? 0 > 0, "\(forecast.stage)")
      let parts = forecast.memory.parts.reduce(0) { $0 + $1.byteCount }
      #expect(parts < forecast.memory.byteCount(in: .machine))
    }
    #expect(doctor.diskByteCount == doctor.forecasts.reduce(0) { $0 + $1.diskByteCount })
  }

  @Test(
    "every stage of every pipeline is either forecast or said not to be",
    arguments: ["quickstart", "quickstart-dpo", "quickstart-latent", "tiny-base"])
  func noneIsMissing(name: String) throws {
    let doctor = try doctor(name, overrides: name == "tiny-base" ? [] : Self.paths)
    #expect(
      Set(doctor.forecasts.map(\.stage) + doctor.notEstimated)
        == Set(doctor.pipeline.stages.map(\.name)))
    #expect(doctor.notEstimated.isEmpty == (name != "tiny-base"))
  }

  @Test("a stage that memory cannot hold is refused with the settings that make it fit")
  func refusal() throws {
    let needs =
      try doctor().forecasts.first { $0.stage == "spo" }?.memory.byteCount(in: .machine) ?? 0
    let problems = try doctor(memory: needs / 2).problems.map(\.description)
    let spo = try #require(problems.first { $0.hasPrefix("spo needs about") })
    #expect(spo.contains("set spo.micro_batch=1, spo.prompts_at_once=1: then it needs about"))
    let none = try doctor(memory: 1_000_000).problems.map(\.description)
    #expect(none.contains { $0.hasPrefix("spo needs") && $0.contains("more memory") })
  }

  @Test("a run is refused before its first stage begins")
  func earlyRefusal() throws {
    try withTemporaryFolder { folder in
      func make(_ overrides: [String]) throws -> Pipeline {
        try Pipeline(
          path: "\(Self.repository)/pipelines/quickstart.json5", stages: stageTypes,
          overrides: overrides, workspace: "\(folder)/workspace")
      }
      let check = RunCheck(
        overrides: Self.paths, limits: MachineLimits(memory: 1_000_000, freeDisk: nil),
        makePipeline: make)
      #expect(throws: Problem.self) {
        try Runner(try make(Self.paths), check: check.require) { _ in }.run()
      }
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/workspace/catalog.sqlite"))
    }
  }

  @Test("more parts than anyone has are no more than there are items")
  func manyParts() throws {
    let doctor = try Doctor(
      overrides: Self.paths, limits: MachineLimits(memory: 1 << 34, freeDisk: nil),
      rates: nil, partCount: .max
    ) { try Self.pipeline($0, "quickstart") }
    #expect(!doctor.parts.isEmpty && doctor.parts.allSatisfy { $0.byteCount > 0 })
  }

  @Test("what does not fit on the disk is refused")
  func disk() throws {
    let problem = try #require(try doctor(freeDisk: 1_000_000).problems.last)
    #expect(problem.what.contains("is free") && problem.remedy.contains("--workspace DIR"))
    #expect(problem.what.contains("still"))
  }

  /// The settings that a remedy names.
  func advice(_ problem: Problem) -> [String] {
    guard problem.remedy.hasPrefix("set "), let end = problem.remedy.range(of: ": then") else {
      return []
    }
    return problem.remedy[..<end.lowerBound].dropFirst(4).components(separatedBy: ", ")
      .map { $0.replacing("'", with: "") }
  }

  func refusal(
    of stage: String, _ name: String, memory: Int, overrides: [String]
  ) throws -> Problem? {
    let check = RunCheck(
      overrides: overrides, limits: MachineLimits(memory: memory, freeDisk: nil)
    ) { try Self.pipeline($0, name) }
    let stages = try Self.pipeline(overrides, name).madeStages()
    let found = try #require(stages.first { type(of: $0).name == stage })
    do { try check.require([PlannedWork(stage: found)]) } catch let refusal as Problem {
      return refusal
    }
    return nil
  }

  @Test(
    "a stage whose memory was refused is accepted with the settings that the refusal names",
    arguments: ["quickstart", "quickstart-latent"])
  func memoryAdvice(name: String) throws {
    var advised: Set<String> = []
    for forecast in try doctor(name).forecasts {
      // A little less than it needs, and so much less that several settings must change.
      for percent in [95, 80, 60] {
        let memory = forecast.memory.byteCount(in: .machine) / 100 * percent
        let refused = try refusal(
          of: forecast.stage, name, memory: memory, overrides: Self.paths)
        guard let refused else { continue }
        let settings = advice(refused)
        guard !settings.isEmpty else {
          #expect(refused.remedy.contains("more memory"))
          continue
        }
        advised.insert(forecast.stage)
        let left = try refusal(
          of: forecast.stage, name, memory: memory, overrides: Self.paths + settings)
        #expect(left == nil, "\(refused)")
      }
    }
    #expect(advised.isSuperset(of: ["encode", "preference", "spo"]), "\(advised)")
  }

  @Test("a disk that was too small suffices with the settings that the refusal names")
  func diskAdvice() throws {
    let overrides = Self.paths + ["ingest.copy_images=true"]
    let free = try doctor(overrides: overrides).diskByteCount - 1
    let problem = try #require(try doctor(freeDisk: free, overrides: overrides).problems.last)
    let settings = advice(problem)
    #expect(!settings.isEmpty)
    let left = try doctor(freeDisk: free, overrides: overrides + settings).problems
    #expect(left.isEmpty, "\(problem)")
  }

  @Test("a run asks for the disk of every stage; a result that is replaced takes its place twice")
  func runDisk() throws {
    let forecasts = try doctor().forecasts
    let bytes = Dictionary(
      uniqueKeysWithValues: forecasts.map { ($0.stage, $0.diskByteCount) })
    let stages = try Self.pipeline(Self.paths, "quickstart").madeStages()
    func refusal(_ replaced: KeyValuePairs<String, Int>, free: Int) throws -> Problem? {
      let check = RunCheck(
        overrides: Self.paths, limits: MachineLimits(memory: 1 << 40, freeDisk: free)
      ) { try Self.pipeline($0, "quickstart") }
      let work = replaced.compactMap { name, byteCount in
        stages.first { type(of: $0).name == name }.map {
          PlannedWork(stage: $0, replacedByteCount: byteCount)
        }
      }
      do { try check.require(work) } catch let refusal as Problem { return refusal }
      return nil
    }
    for (name, byteCount) in bytes {
      let problem = try #require(try refusal([name: 0], free: byteCount - 1))
      #expect(problem.kind == .space && problem.what.contains("most in \(name)"), "\(problem)")
      #expect(try refusal([name: 0], free: byteCount) == nil)
    }
    let (export, report) = (try #require(bytes["export"]), try #require(bytes["report"]))
    // What the first leaves free is the second's.
    #expect(try refusal(["export": report, "report": 0], free: export) == nil)
    let problem = try #require(try refusal(["export": report, "report": 0], free: export - 1))
    #expect(problem.what.contains("are kept until the new ones are complete"))
    #expect(try refusal(["export": report - 1, "report": 0], free: export) != nil)
  }

  @Test("models and data that are missing are named, each once, with what to do")
  func missing() throws {
    let problems = try doctor("sd15", overrides: []).problems.map(\.description)
    #expect(problems.count == Set(problems).count)
    #expect(problems.filter { $0.contains("models/stable-diffusion-v1-5") }.count == 1)
    #expect(problems.contains { $0.contains("--set preference.start=PATH") })
    #expect(problems.contains { $0.contains("data/4k_training_prompts.json does not exist") })
  }

  @Test("settings that do not suit a model are found before the model is there")
  func publishedFit() throws {
    let problems = try doctor("sdxl", overrides: ["spo.rank=1000"]).problems.map(\.description)
    #expect(problems.first?.contains("spo.rank: must be at most 640") == true, "\(problems)")
    #expect(problems.contains { $0.contains("models/stable-diffusion-xl-base-1.0 does not exist") })
    let narrow = try doctor("sdxl", overrides: ["spo.rank=640"]).problems.map(\.description)
    #expect(!narrow.contains { $0.contains("spo.rank") }, "\(narrow)")
  }

  @Test("a name of a model hub is not downloaded, and the problem says how to get it")
  func hubName() throws {
    let name = "runwayml/stable-diffusion-v1-5"
    let problems = try doctor(overrides: Self.paths + ["model=\(name)"]).problems.map(\.description)
    #expect(
      problems.last?.contains("hf download \(name) --local-dir models/") == true, "\(problems)")
    for (name, remedy) in [
      (
        "yuvalkirstain/pickapic_v2",
        "hf download --repo-type dataset yuvalkirstain/pickapic_v2 --local-dir data/"
      ),
      ("mine/train.csv", "put it there"),
    ] {
      let problems = try doctor(overrides: Self.paths + ["ingest.source=\(name)"]).problems.map(
        \.description)
      #expect(problems.contains { $0.contains(remedy) }, "\(problems)")
      #expect(
        problems.contains { $0.contains("hf download") } == remedy.contains("hf"), "\(problems)")
    }
  }

  @Test("data of which no row can be used, and prompts that cannot be read, are found before a run")
  func unusableRows() throws {
    try withTemporaryFolder { folder in
      let data = "\(folder)/pairs.csv"
      for (rows, part) in [
        ("prompt,chosen,rejected\na fox,x.png,y.png\n", "there is no file"),
        ("prompt,chosen,rejected\na.png,a red fox,a blue hen\n", "are the columns swapped"),
      ] {
        try AtomicFile.replace(data, with: Array(rows.utf8))
        let message = failure { _ = try doctor(overrides: Self.paths + ["ingest.source=\(data)"]) }
        #expect(message?.contains(part) == true, "\(message ?? "accepted")")
      }
      try AtomicFile.replace("\(folder)/list.csv", with: Array("words\na fox\n".utf8))
      let message = failure {
        _ = try doctor(overrides: Self.paths + ["report.prompts=\(folder)/list.csv"])
      }
      #expect(
        message?.contains("list.csv: no key or column named prompt") == true,
        "\(message ?? "accepted")")
    }
  }

  @Test("data that a pipeline's training could not use is refused before it is read")
  func unusableSources() throws {
    try withTemporaryFolder { folder in
      let prompts = "\(folder)/prompts.json"
      try AtomicFile.replace(prompts, with: Array("[\"a fox\", \"a hen\"]".utf8))
      let names = "\(folder)/names.csv"
      let rows = "caption,image_0_uid,image_1_uid,label_0,label_1\na fox,a,b,1,0\na hen,c,d,0,1\n"
      try AtomicFile.replace(names, with: Array(rows.utf8))
      for (source, words) in [
        (prompts, "contains only prompts"), (names, "contains only their identities"),
      ] {
        let overrides = Self.paths + ["ingest.source=\(source)"]
        let problem = failure { _ = try doctor(overrides: overrides) }
        #expect(problem?.contains("ingest.source") == true && problem?.contains(words) == true)
        #expect(problem?.contains(source) == true, "\(problem ?? "nothing")")
      }
    }
  }

  @Test("before any file is there, published shapes stand in, and what is assumed is said")
  func published() throws {
    let prompts = Self.paths.filter { $0.hasPrefix("report.") }
    let doctor = try doctor(
      "sd15", memory: 1 << 44, freeDisk: 1 << 44, overrides: prompts, rates: OperationRates())
    #expect(doctor.notes.contains { $0.contains("estimated as Stable Diffusion v1.5") })
    #expect(doctor.notes.contains { $0.contains("estimated as CLIP ViT-H/14") })
    let spo = try #require(doctor.forecasts.first { $0.stage == "spo" })
    #expect((5_000_000_000...20_000_000_000).contains(spo.memory.byteCount(in: .machine)))
    #expect(try #require(doctor.seconds) > 86_400)
    // One that nothing is known of is not guessed at.
    let unknown = try self.doctor("sd15", overrides: prompts + ["model=models/other"])
    #expect(unknown.forecasts.isEmpty && unknown.notes.isEmpty)
  }

  @Test(
    "of published data a pattern stands for the files it would match; a given judge is known, too")
  func publishedShare() throws {
    let prompts = Self.paths.filter { $0.hasPrefix("report.") }
    for (name, rows) in [("sd15-latent", 584_247), ("sd15-latent-fast", 60_835)] {
      let doctor = try doctor(
        name, memory: 1 << 44, freeDisk: 1 << 44, overrides: prompts)
      #expect(doctor.notes.contains { $0.contains("about \(rows) comparisons") }, "\(doctor.notes)")
    }
    let small = try doctor("sd15-small", memory: 1 << 44, freeDisk: 1 << 44, overrides: prompts)
    #expect(small.notes.contains { $0.contains("step-aware") && $0.contains("CLIP ViT-H/14") })
    #expect(small.forecasts.contains { $0.stage == "spo" })
  }

  @Test("more rows at once take more memory, gradient checkpointing less")
  func proportions() throws {
    let large = ["spo.micro_batch=64", "spo.pair_batch=64"]
    // No more at once than comparisons that give a pair.
    #expect(try 2 * memory("spo", large) > 3 * memory("spo"))
    #expect(
      try memory("spo", large + ["spo.gradient_checkpointing=true"]) < memory("spo", large))
  }

  @Test("a batch larger than what there is of its items takes no more than all of them")
  func largeBatches() throws {
    // Ten prompts with five comparisons each.
    func pairs(_ count: Int) throws -> Int {
      try memory("spo", ["spo.pair_batch=\(count)", "spo.micro_batch=\(count)"])
    }
    #expect(try pairs(4_096) == pairs(50) && pairs(8) < pairs(50))
    let few = ["ingest.limit=40"]
    #expect(
      try memory("encode", few + ["encode.batch=256"])
        == memory("encode", few + ["encode.batch=128"]))
    #expect(try memory("encode") < memory("encode", ["encode.batch=256"]))
    func held(_ batch: Int) throws -> Int {
      try memory(
        "preference",
        few + ["preference.batch=\(batch)", "preference.micro_batch=1", "preference.estimates=0"])
    }
    #expect(try held(1_024) == held(512))
  }

  @Test("a run is not refused for a batch that its data cannot fill")
  func largeBatchAccepted() throws {
    let (few, all) = (["encode.batch=256", "ingest.limit=40"], ["encode.batch=256"])
    let enough = try memory("encode", few)
    func refusal(_ overrides: [String]) throws -> Problem? {
      try self.refusal(
        of: "encode", "quickstart", memory: enough, overrides: Self.paths + overrides)
    }
    #expect(try refusal(few) == nil && refusal(all) != nil)
  }

  @Test("the limit of rows or prompts is the limit of what is estimated")
  func limitedData() throws {
    let rates = OperationRates()
    func encode(_ overrides: [String]) throws -> Doctor.Forecast {
      let forecasts = try doctor(overrides: Self.paths + overrides, rates: rates).forecasts
      return try #require(forecasts.first { $0.stage == "encode" })
    }
    let all = try encode([])
    for by in ["rows", "prompts"] {
      let part = try encode(["ingest.limit=100", "ingest.limit_by=\(by)"])
      #expect(part.diskByteCount < all.diskByteCount / 2, "\(by)")
      #expect(part.seconds ?? .infinity < all.seconds ?? 0, "\(by)")
    }
    // The first three rows are of one prompt.
    #expect {
      try doctor(overrides: Self.paths + ["ingest.limit=3"])
    } throws: {
      "\($0)".contains("ingest.limit: is 3, which leaves one prompt, and training needs")
    }
  }

  @Test("what thrift with the preference model saves is counted")
  func thrift() throws {
    let none = try memory("preference")
    let rerun = try memory("preference", ["preference.gradient_checkpointing=true"])
    let onDisk = try memory("preference", ["preference.optimizer_on_disk=true"])
    #expect(rerun < none && onDisk < none)
    // The embedded model's matrices are too small to be kept in half precision.
    let half = try memory("spo", ["preference.precision=f16"])
    #expect(try half <= memory("spo"))
    #expect(try memory("spo", ["spo.preference_precision=f16"]) == half)
    let disk = try doctor(overrides: Self.paths + ["preference.optimizer_on_disk=true"])
    #expect(try disk.diskByteCount > doctor().diskByteCount)
  }

  private func memory(_ stage: String, _ overrides: [String] = []) throws -> Int {
    try doctor(overrides: Self.paths + overrides).forecasts.first { $0.stage == stage }?.memory
      .byteCount(in: .machine) ?? 0
  }
}

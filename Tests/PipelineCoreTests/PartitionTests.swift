import Files
import PipelineCore
import Testing

struct PartitionTests {
  @Test("the command names a part, or its number of parts alone")
  func command() throws {
    let part = try Partition("7/64", environment: ["SLURM_ARRAY_TASK_ID": "3"])
    #expect(part.index == 7 && part.count == 64 && part.variable == nil)
    #expect("\(part)" == "7/64")
    for text in ["", "7", "/", "7/", "/64", "a/64", "7/x", "7/64/1", "-1/64", "+7/64", " 7/64"] {
      #expect(throws: PartitionError.malformed(isAutomatic: false), "\(text)") {
        try Partition(text, environment: [:])
      }
    }
    for text in ["auto", "auto/", "auto/x", "auto/0"] {
      #expect(throws: PartitionError.malformed(isAutomatic: true), "\(text)") {
        try Partition(text, environment: ["SLURM_ARRAY_TASK_ID": "3"])
      }
    }
    for (index, count) in [(0, 4), (5, 4)] {
      #expect(throws: PartitionError.outOfRange(index: index, count: count)) {
        try Partition("\(index)/\(count)", environment: [:])
      }
    }
    #expect(throws: PartitionError.self) { try Partition("auto/4", environment: ["HOME": "/"]) }
  }

  @Test(
    "engines count from 1 or from 0",
    arguments: [
      ("SPO_PARTITION", 1), ("SLURM_ARRAY_TASK_ID", 1), ("JOB_COMPLETION_INDEX", 0),
      ("AWS_BATCH_JOB_ARRAY_INDEX", 0), ("CLOUD_RUN_TASK_INDEX", 0), ("PBS_ARRAY_INDEX", 1),
      ("LSB_JOBINDEX", 1), ("RANK", 0), ("OMPI_COMM_WORLD_RANK", 0), ("PMIX_RANK", 0),
      ("PMI_RANK", 0), ("SLURM_PROCID", 0),
    ])
  func engines(variable: String, first: Int) throws {
    for index in 1...4 {
      let part = try Partition("auto/4", environment: [variable: "\(index - 1 + first)"])
      #expect(part.index == index && part.count == 4 && part.variable == variable)
    }
    for value in first == 1 && variable != "LSB_JOBINDEX" ? [0, 5] : [first + 4] {
      let error = #expect(throws: PartitionError.self) {
        try Partition("auto/4", environment: [variable: "\(value)"])
      }
      #expect(
        error?.description.hasPrefix(
          "\(variable) is \(value), but indices start at \(first): the 4 parts are \(first) to ")
          == true
      )
      #expect(error?.kind == .usage)
    }
    for value in ["", "x", "-1", "1.0", "99999999999999999999"] {
      #expect(throws: PartitionError.badVariable(name: variable, value: value)) {
        try Partition("auto/4", environment: [variable: value])
      }
    }
  }

  @Test("arrays come before ranks, and the user's own variable before all")
  func order() throws {
    var environment = ["SLURM_PROCID": "0", "RANK": "1", "LSB_JOBINDEX": "0"]
    func variable() throws -> String? {
      try Partition("auto/9", environment: environment).variable
    }
    #expect(try variable() == "RANK")
    for name in [
      "LSB_JOBINDEX", "PBS_ARRAY_INDEX", "CLOUD_RUN_TASK_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX",
      "JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "SPO_PARTITION",
    ] {
      environment[name] = "2"
      #expect(try variable() == name)
    }
  }

  @Test("a job's processes do not all make the part of the job")
  func processes() throws {
    let ranks = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"]
    let pairs =
      [("SLURM_ARRAY_TASK_ID", "SLURM_PROCID")] + ranks.map { ("PBS_ARRAY_INDEX", $0) }
    for (array, rank) in pairs {
      #expect(try Partition("auto/4", environment: [array: "3", rank: "0"]).index == 3)
      #expect(throws: PartitionError.repeated(variable: array, rank: rank, value: "1")) {
        try Partition("auto/4", environment: [array: "3", rank: "1"])
      }
      let own = ["SPO_PARTITION": "2", array: "3", rank: "1"]
      #expect(try Partition("auto/4", environment: own).index == 2)
    }
  }
}

import DataStages
import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// `spo ingest --dry-run`.
@Suite struct PreviewTests {
  private func preview(_ names: [String], _ overrides: [String] = []) throws -> IngestPreview {
    try IngestPreview(
      files: names.map { $0.hasPrefix("/") ? $0 : fixturePath("data/\($0)") }, overrides: overrides,
      rowLimit: 1_000)
  }

  @Test("a preview has the form, the meaning of columns, three rows and the row counts")
  func parts() throws {
    let preview = try preview(["votes-datasets.parquet"])
    try preview.requireUsable()
    let source = try #require(preview.json["sources"]?[0])
    #expect(source["form"] == "votes")
    #expect(source["rows"] == 8)
    let columns = try #require(source["columns"]?.array)
    #expect(
      columns.contains { $0["column"] == "votes_image1" && $0["taken_for"] == "votes_0" })
    #expect(source["columns_not_read"]?.array?.contains("detailed_results") == true)
    let rows = try #require(preview.json["first_rows"]?.array)
    #expect(rows.map { $0["row"] } == [0, 1, 2])
    #expect(rows[0]["text"]?.string?.contains("image1 (20 x 16) preferred to image2") == true)
    #expect(preview.json["funnel"]?["pairs"] == 8)
    #expect(preview.json["problems"] == [])
    #expect(preview.lines.contains { $0.contains("votes: two images with vote counts") })
  }

  @Test("a table of a spreadsheet whose decimal sign is the comma is read by its semicolons")
  func semicolons() throws {
    try withTemporaryFolder { folder in
      let text = try String(contentsOfFile: fixturePath("data/pairs-pandas.csv"), encoding: .utf8)
      for (name, separator) in [("semicolons", ";"), ("tabs", "\t")] {
        let path = "\(folder)/\(name).csv"
        try AtomicFile.replace(
          path, with: Array(text.replacing(",", with: separator).utf8))
        let preview = try preview([path], ["image_root=\(fixturePath("data"))"])
        #expect(preview.json["sources"]?[0]?["form"] == "pairs", "\(preview.lines)")
        #expect(preview.json["funnel"]?["rows_read"] == 8)
      }
    }
  }

  @Test("the only problem is not printed twice, nor one of several")
  func onceEach() throws {
    let one = try preview(["absent.csv"])
    #expect(!one.lines.joined().contains("absent.csv"))
    #expect(failure { try one.requireUsable() }?.contains("absent.csv") == true)
    let two = try preview(["absent.csv", "gone.csv"])
    let text = two.lines.joined() + (failure { try two.requireUsable() } ?? "")
    for name in ["absent.csv", "gone.csv"] {
      // A path that matches nothing is named once by its message.
      #expect(text.split(separator: name, omittingEmptySubsequences: false).count == 2, "\(text)")
    }
  }

  @Test("a missing image says which setting tells where the paths start")
  func missingImages() throws {
    try withTemporaryFolder { folder in
      let text = "prompt,image_0,image_1,preferred\na fox,a.png,b.png,0\n"
      try AtomicFile.replace("\(folder)/pairs.csv", with: Array(text.utf8))
      let problem = failure { try preview(["\(folder)/pairs.csv"]).requireUsable() }
      #expect(
        problem?.contains("\(folder)/a.png; set ingest.image_root") == true, "\(problem ?? "")")
    }
  }

  /// A preview of one file of the given text.
  private func preview(
    _ text: String, _ overrides: [String] = [], name: String = "own.csv"
  ) throws -> IngestPreview {
    try withTemporaryFolder { folder in
      for image in ["a.png", "b.png"] {
        try AtomicFile.replace("\(folder)/\(image)", with: try samplePNG(image == "a.png" ? 1 : 2))
      }
      try AtomicFile.replace("\(folder)/\(name)", with: Array(text.utf8))
      return try preview(["\(folder)/\(name)"], overrides)
    }
  }

  @Test(
    "columns are known in whatever case",
    arguments: [
      ("Prompt,Chosen,Rejected\na fox,a.png,b.png\n", "chosen_rejected"),
      ("PROMPT,Image_0,Image_1,Preferred\na fox,a.png,b.png,0\n", "pairs"),
      ("Text,Image1,Image2,Votes_Image1,Votes_Image2\na fox,a.png,b.png,3,1\n", "votes"),
      ("Caption,JPG_0,JPG_1,Label_0,Label_1\na fox,a.png,b.png,1,0\n", "pickapic"),
    ])
  func letterCase(text: String, form: String) throws {
    let preview = try preview(text)
    try preview.requireUsable()
    #expect(preview.json["sources"]?[0]?["form"] == .string(form))
    #expect(preview.json["funnel"]?["pairs"] == 1, "\(preview.lines)")
    let first = try #require(preview.json["first_rows"]?[0]?["text"]?.string)
    #expect(first.contains(" preferred to "), "\(first)")
  }

  @Test("a list of prompts that holds more says so; one that does not, does not")
  func promptsAlone() throws {
    for text in ["text,win,lose\nx,a.png,b.png\n", "prompt,chosen_path,rejected_path\nx,a,b\n"] {
      let lines = try preview(text).lines.filter { $0.contains("taken for a prompt list") }
      #expect(lines.count == 1)
      #expect(
        lines.first?.contains(text.hasPrefix("text") ? "win, lose" : "chosen_path") == true
          && lines.first?.contains("columns: {") == true, "\(lines)")
    }
    #expect(try !preview("prompt\na fox\n").lines.joined().contains("taken for a prompt list"))
  }

  @Test("scores are the other way round than ranks, and the message says so")
  func scores() throws {
    func problem(_ name: String) throws -> (String?, [String]) {
      try withTemporaryFolder { folder in
        for image in ["a", "b"] {
          try AtomicFile.replace(
            "\(folder)/\(image).png", with: try samplePNG(image == "a" ? 0 : 1))
        }
        let row =
          "{\"prompt\": \"fox\", \"images\": [\"a.png\", \"b.png\"], \"\(name)\": [1.5, 9.0]}\n"
        try AtomicFile.replace("\(folder)/x.jsonl", with: Array(row.utf8))
        let found = try preview(["\(folder)/x.jsonl"])
        return (failure { try found.requireUsable() }, found.lines)
      }
    }
    let (message, _) = try problem("quality")
    #expect(
      message?.contains("scores, of which the highest is best, are preferences") == true,
      "\(message ?? "accepted")")
    let (none, lines) = try problem("scores")
    #expect(none == nil)
    #expect(
      lines.contains { $0.contains("images[1] (20 x 18) preferred to images[0]") }, "\(lines)")
  }

  @Test("a prompt comes before a caption, but in the published form")
  func promptAndCaption() throws {
    let lines = try preview(
      "caption,prompt,image_0,image_1,preferred\nfox in snow,a fox,a.png,b.png,0\n"
    ).lines
    #expect(lines.contains { $0.contains("column    prompt: the prompt") }, "\(lines)")
    #expect(lines.contains { $0.contains("not used  caption") }, "\(lines)")
    let published = try preview(
      "caption,prompt,image_0_uid,image_1_uid,label_0,label_1\na,b,x,y,1,0\n"
    )
    .lines
    #expect(published.contains { $0.contains("column    caption: the prompt") }, "\(published)")
  }

  @Test("a column that looks as if it divided the rows is said not to, in a run, too")
  func splitColumn() throws {
    try withTemporaryFolder { folder in
      var rows = "prompt,image_0,image_1,preferred,split,seed\n"
      for row in 0..<4 { rows += "fox \(row),a.png,b.png,0,train,1\n" }
      for name in ["a", "b"] {
        try AtomicFile.replace("\(folder)/\(name).png", with: try samplePNG(name == "a" ? 0 : 1))
      }
      try AtomicFile.replace("\(folder)/rows.csv", with: Array(rows.utf8))
      let sentence = "column split does not divide the rows"
      let lines = try preview(["\(folder)/rows.csv"]).lines
      #expect(lines.contains { $0.contains(sentence) }, "\(lines)")
      let pipeline = try DataPipeline(in: folder, sources: ["rows.csv"])
      let texts = try pipeline.run(through: "ingest").compactMap { event -> String? in
        if case .said("ingest", let text) = event { text } else { nil }
      }
      #expect(texts.contains { $0.contains(sentence) }, "\(texts)")
      #expect(texts.contains { $0.contains("columns not used: split, seed") }, "\(texts)")
    }
  }

  @Test(
    "0 and 1 are the first and the second image unless a name may be meant",
    arguments: [
      ("Image A,Image B", "0", 0), ("Image A,Image B", "1", 1), ("Image A,Image B", "b", 1),
      ("cat,dog", "0", 0), ("cat,dog", "1", 1), ("cat,dog", "right", 1), ("cat,dog", "A", 0),
      ("shot5,shot7", "1", 1), ("shot5,shot7", "5", 0), ("image_1,image_2", "1", 0),
      ("image_1,image_2", "2", 1), ("image_b,image_a", "a", 1), ("cat1,cat2", "2", 1),
      ("cat1,cat2", "cat1", 0), ("cat1,cat2", "1", nil), ("cat1,cat2", "0", nil),
      ("image1,image2", "0", nil), ("cat1,dog2", "1", nil),
    ] as [(String, String, Int?)])
  func numbers(columns: String, value: String, chosen: Int?) throws {
    let names = columns.split(separator: ",").map(String.init)
    let preview = try preview(
      "prompt,\(columns),preferred\na fox,a.png,b.png,\(value)\n",
      ["columns.image_0=\(names[0])", "columns.image_1=\(names[1])"])
    let row = try #require(preview.json["first_rows"]?[0]?["text"]?.string)
    if let chosen {
      #expect(row.contains(": \(names[chosen]) (20 x"), "\(row)")
    } else {
      #expect(
        row.contains("is ambiguous: a number from 0") && row.contains("left, a, second"), "\(row)")
    }
  }

  @Test("a value that says nothing is rejected with all that would")
  func words() throws {
    let problem = failure {
      try preview("prompt,image_0,image_1,preferred\na fox,a.png,b.png,best\n").requireUsable()
    }
    for word in ["\"best\" is not one of image_0, image_1, 0, 1, first, left, a, second", "tie"] {
      #expect(problem?.contains(word) == true, "\(problem ?? "")")
    }
  }

  @Test("labels and two paths are read; a backslash is named")
  func ownTables() throws {
    let own = try preview("prompt,image_0,image_1,label_0,label_1\na fox,a.png,b.png,1,0\n")
    try own.requireUsable()
    #expect(own.json["first_rows"]?[0]?["text"]?.string?.contains("image_0 (20 x") == true)
    let problem = failure {
      try preview("prompt,chosen,rejected\na fox,in\\a.png,b.png\n").requireUsable()
    }
    #expect(problem?.contains("backslash") == true, "\(problem ?? "")")
  }

  @Test("a source given by two spellings is read once, and that is said by a run too")
  func twoSpellings() throws {
    let path = fixturePath("data/pairs-pandas.csv")
    let twice = [path, path.replacing("/data/", with: "/./data//")]
    let preview = try preview(twice)
    #expect(preview.json["funnel"]?["pairs"] == 8)
    #expect(preview.lines.count { $0.contains("listed several times") } == 1, "\(preview.lines)")
    let notes = try SourceFiles(SourceList(twice), split: nil).notes
    #expect(notes.count { $0.contains("listed several times") } == 1, "\(notes)")
  }

  @Test("lists that drop nothing are said to")
  func nothingDropped() throws {
    try withTemporaryFolder { folder in
      let list = "\(folder)/drop.txt"
      try AtomicFile.replace(list, with: Array("nothing\n".utf8))
      let text = "prompt,image_0,image_1,preferred\na fox,a.png,b.png,0\n"
      let lines = try preview(text, ["drop=\(list)"]).lines
      #expect(lines.contains { $0.contains("drops nothing") }, "\(lines)")
    }
  }

  @Test("all problems come at once")
  func problems() throws {
    try withTemporaryFolder { folder in
      let text = "prompt,image_0,image_1\na,b.png,c.png\n"
      try AtomicFile.replace("\(folder)/lacking.csv", with: Array(text.utf8))
      try AtomicFile.replace("\(folder)/other.csv", with: Array("one,two\n1,2\n".utf8))
      try AtomicFile.replace("\(folder)/damaged.parquet", with: Array("PAR1 and no more".utf8))
      let preview = try preview([
        "\(folder)/lacking.csv", "\(folder)/other.csv", "\(folder)/damaged.parquet",
        "\(folder)/absent.json", "\(folder)/notes.docx", "pairs-pandas.csv",
      ])
      let problems = try #require(preview.json["problems"]?.array).compactMap(\.string)
      for words in [
        "lacking.csv: no column preferred", "other.csv: none of its columns (one, two)",
        "damaged.parquet: the file does not end with PAR1", "absent.json", "notes.docx",
      ] {
        #expect(problems.contains { $0.contains(words) }, "\(words) in \(problems)")
      }
      #expect(preview.json["funnel"]?["pairs"] == 8)
      #expect(failure { try preview.requireUsable() }?.contains("more above") == true)
    }
  }

  @Test("all columns that are missing are named in one problem, with what would name others")
  func missingColumns() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace(
        "\(folder)/votes.csv", with: Array("words,votes_0\na,1\n".utf8))
      let preview = try preview(["\(folder)/votes.csv"])
      let problem = try #require(preview.json["problems"]?[0]?.string)
      for word in [
        "no column prompt, no column image_0, no column image_1",
        "{ prompt: \"...\", image_0: \"...\", image_1: \"...\", ", "votes_1: \"...\"",
      ] {
        #expect(problem.contains(word), "\(problem)")
      }
    }
  }

  @Test("settings are those of the stage, and unknown ones are refused")
  func settings() throws {
    let renamed = [
      "columns.prompt=words", "columns.image_0=links", "ingest.columns.image_1=rechts",
      "ingest.columns.preferred=besser",
    ]
    try preview(["pairs-renamed.csv"], renamed).requireUsable()
    #expect(failure { try preview(["pairs-renamed.csv"]).requireUsable() } != nil)
    #expect(failure { _ = try preview(["pairs-renamed.csv"], ["ingest.formt=votes"]) } != nil)
    #expect(
      failure { _ = try preview(["pairs-renamed.csv"], ["columns.promt=words"]) }?
        .contains("\"prompt\"?") == true)
  }

  @Test("only so many rows are looked at, and the others are none of the rejects")
  func rowLimit() throws {
    let preview = try IngestPreview(
      files: [fixturePath("data/pairs-pandas.csv")], overrides: [], rowLimit: 3)
    #expect(preview.json["funnel"]?["rows"] == 8)
    #expect(preview.json["funnel"]?["rows_read"] == 3)
    #expect(preview.json["funnel"]?["pairs"] == 3)
    #expect(preview.json["funnel"]?["rejects"] == [:])
    try preview.requireUsable()
  }
}

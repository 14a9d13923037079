/// A file that rows were read from.
public struct SourceRecord: Equatable, Sendable {
  public var id: Int
  public var path: String
  /// A text that changes with the content, such as size and digest of the footer.
  public var identity: String
  public var rowCount: Int
  public var rowGroupCount: Int
  /// The columns of the two images; nil for a list of prompts.
  public var image0Column: String?
  public var image1Column: String?
}

/// The location of an image's encoded bytes.
public struct ImageLocation: Equatable, Sendable {
  public var sourcePath: String
  public var rowGroup: Int
  /// The row in the file, from 0.
  public var row: Int
  public var column: String
  /// The folder that image paths in the file are relative to; nil: its own folder.
  public var imageRoot: String?

  public init(
    sourcePath: String, rowGroup: Int, row: Int, column: String, imageRoot: String? = nil
  ) {
    self.sourcePath = sourcePath
    self.rowGroup = rowGroup
    self.row = row
    self.column = column
    self.imageRoot = imageRoot
  }
}

/// An image with bytes, as used by later stages.
public struct ImageRecord: Equatable, Sendable {
  public var id: Int
  public var uid: String
  public var sha256: String
  public var byteCount: Int
  public var width: Int
  public var height: Int
  public var location: ImageLocation
}

public struct PromptRecord: Equatable, Sendable {
  public var id: Int
  public var text: String
  public var sha256: String
}

/// One comparison of two images generated for the same prompt.
public struct PairRecord: Equatable, Sendable {
  public var id: Int
  public var image0: PairedImage
  public var image1: PairedImage
  /// (1, 0) if the first is preferred, (0, 1) if the second, (0.5, 0.5) for a tie.
  public var label0: Double
  public var label1: Double
  public var weight: Double
  public var bestImageUID: String?
  public var rankingID: Int?
  public var sourcePath: String
  public var row: Int
  /// The index among the row's pairs; 0 except in rankings.
  public var part: Int
}

public struct PairedImage: Equatable, Sendable {
  public var id: Int
  public var uid: String
  /// Nil if the source had no bytes for it.
  public var sha256: String?
}

/// A prompt with all its comparisons in one split.
public struct PromptGroup: Equatable, Sendable {
  public var prompt: PromptRecord
  public var pairs: [PairRecord]
}

/// The numbers of rows in the tables.
public struct CatalogCounts: Equatable, Sendable {
  public var prompts: Int
  public var images: Int
  public var pairs: Int
  public var listedPrompts: Int
  public var rejections: Int

  package init(prompts: Int, images: Int, pairs: Int, listedPrompts: Int, rejections: Int) {
    self.prompts = prompts
    self.images = images
    self.pairs = pairs
    self.listedPrompts = listedPrompts
    self.rejections = rejections
  }
}

/// The content of one row group, ready to be recorded.
public struct RowGroupContents: Sendable {
  public var ordinal: Int
  /// The number of rows in the group: each is in exactly one of the lists below, except for
  /// rankings.
  public var rowCount: Int
  /// The required total number of entries in the lists below; nil: one per row.
  public var outcomeCount: Int?
  public var pairs: [Pair] = []
  public var prompts: [ListedPrompt] = []
  public var rejections: [Rejection] = []

  public init(ordinal: Int, rowCount: Int) {
    self.ordinal = ordinal
    self.rowCount = rowCount
  }

  public struct Image: Sendable {
    public var uid: String
    /// Nil for a source without bytes.
    public var content: Content?

    public init(uid: String, content: Content?) {
      self.uid = uid
      self.content = content
    }

    public struct Content: Sendable {
      public var sha256: String
      public var byteCount: Int
      public var width: Int
      public var height: Int
      public var column: String
      /// The location of the bytes if not in the row of the pair.
      public var place: (rowGroup: Int, row: Int)?
      /// The bytes themselves, if they are to be copied into the catalog.
      public var copy: [UInt8]?

      public init(
        sha256: String, byteCount: Int, width: Int, height: Int, column: String,
        place: (rowGroup: Int, row: Int)? = nil, copy: [UInt8]? = nil
      ) {
        self.sha256 = sha256
        self.byteCount = byteCount
        self.width = width
        self.height = height
        self.column = column
        self.place = place
        self.copy = copy
      }
    }
  }

  public struct Pair: Sendable {
    public var row: Int
    /// The index among the row's pairs, from 0.
    public var part = 0
    public var prompt: String
    public var image0: Image
    public var image1: Image
    public var label0: Double
    public var label1: Double
    public var weight: Double
    public var split: String
    public var provenance = Provenance()

    public init(
      row: Int, prompt: String, image0: Image, image1: Image, label0: Double, label1: Double,
      weight: Double, split: String
    ) {
      self.row = row
      self.prompt = prompt
      self.image0 = image0
      self.image1 = image1
      self.label0 = label0
      self.label1 = label1
      self.weight = weight
      self.split = split
    }
  }

  /// Columns that no stage computes with, kept to trace a comparison back.
  public struct Provenance: Sendable {
    public var bestImageUID: String?
    public var rankingID: Int?
    public var userID: Int?
    public var model0: String?
    public var model1: String?
    public var createdAt: String?
    public var image0URL: String?
    public var image1URL: String?

    public init() {}
  }

  public struct ListedPrompt: Sendable {
    public var row: Int
    public var text: String
    public var split: String

    public init(row: Int, text: String, split: String) {
      self.row = row
      self.text = text
      self.split = split
    }
  }

  public struct Rejection: Sendable {
    public var row: Int
    /// The index that it would have had among the row's pairs, from 0.
    public var part: Int
    public var column: String?
    public var code: String
    public var reason: String

    public init(row: Int, part: Int = 0, column: String?, code: String, reason: String) {
      self.row = row
      self.part = part
      self.column = column
      self.code = code
      self.reason = reason
    }
  }
}

/// Counts of comparisons by label.
public struct LabelCounts: Equatable, Sendable {
  /// One image is preferred.
  public var decided = 0
  public var ties = 0
  /// Both labels are 0.
  public var unlabelled = 0
  /// The number of decided comparisons between an image and itself; 0 if that was not checked.
  public var alike = 0

  public init() {}

  public var total: Int { decided + ties + unlabelled }

  public mutating func add(_ label0: Double, _ label1: Double) {
    if label0 != label1 { decided += 1 } else if label0 == 0 { unlabelled += 1 } else { ties += 1 }
  }

  public static func += (a: inout LabelCounts, b: LabelCounts) {
    a.decided += b.decided
    a.alike += b.alike
    a.ties += b.ties
    a.unlabelled += b.unlabelled
  }
}

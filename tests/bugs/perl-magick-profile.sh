#!/bin/sh
# ImageMagick 6.9.11 (Debian 12): a colour profile that is none is lost (ImageMagick6 #154)
# right: ProfileImage, which returns the error and leaves its copy of the profile behind. The script
# calls it by the image's "Profile", one of the many names of one function of Q16.so.
. "$(dirname "$0")/common.sh"
N=${1:-1000}
need perl libimage-magick-q16-perl
only libimage-magick-q16-perl 6.9.11
cat >profile.pl <<'P'
# Images that users send, with the profiles that they send; some of these are wrong.
use strict;
use Image::Magick;
for my $n (1 .. $ARGV[0]) {
  my $image = Image::Magick->new(size => '16x16');
  $image->Read('xc:red');
  $image->Resize('8x8');
  $image->Profile(name => 'icc', profile => "no profile $n");
  $image->Resize('4x4');
}
P
exec ${TOOL:-} perl profile.pl "$N"
